"""Drives a real daemon with more than it can do, with reloads and with SIGTERM; README.md says how and why.

    __main__    the command line
    overload    more requests than the daemon can answer
    reload      its network is replaced under load
    replacing   offering it new networks, broken ones too, and seeing which one serves
    stop        SIGTERM under load
    client      an event loop that sends requests at set moments and records what becomes of each
    arrivals    when requests are sent: on a schedule, or by users who wait for their answers
    messages    requests as bytes, and as much of an answer as has to be understood
    mixes       what is asked: the whole network, one category, random ones
    server      the daemon: starting, pinning, memory, stopping
    figures     what records say: rates, quantiles, failures; tables and files
"""
