"""When requests are sent. All functions here only arrange it; Client.run() does it. `done` gets every record.

    open_loop(client, moments, ask, done)       on a schedule, whether or not the server keeps up: what the world does
    closed_loop(client, users, until, ask, done)    by users who wait for each answer: finds what a server can do at most
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from .client import REFUSED, UNSENT, WITHHELD, Client, Done, Record
from .messages import Request

Ask = Callable[[], Request]
DISAPPOINTED_SECONDS = 0.02  # before a user whom nobody listened to tries again


def regular(begin: float, rate: float, seconds: float) -> Iterator[float]:
    return (begin + number / rate for number in range(int(rate * seconds)))


def poisson(begin: float, rate: float, seconds: float, seed: int) -> Iterator[float]:
    chance = random.Random(seed)
    moment = begin + chance.expovariate(rate)
    while moment < begin + seconds:
        yield moment
        moment += chance.expovariate(rate)


def open_loop(client: Client, moments: Iterator[float], ask: Ask, done: Done) -> None:
    def arrive(moment: float) -> None:
        following = next(moments, None)
        if following is not None:
            client.at(following, lambda: arrive(following))
        client.send(ask(), moment, done)

    first = next(moments, None)
    if first is not None:
        client.at(first, lambda: arrive(first))


def closed_loop(client: Client, users: int, until: float, ask: Ask, done: Done, obeys: bool = False) -> None:
    """The users begin at once. One who `obeys` comes back when a 429 says so; others at once. A user from whom a request is
    withheld leaves."""

    def again(record: Record) -> None:
        done(record)
        if record.fault != WITHHELD:
            plan(record.answered + _pause(record, obeys))

    def plan(moment: float) -> None:
        if moment < until:
            client.at(moment, lambda: client.send(ask(), moment, again))

    for _ in range(users):
        plan(client.now())


def _pause(record: Record, obeys: bool) -> float:
    if record.fault in (REFUSED, UNSENT):
        return DISAPPOINTED_SECONDS
    if record.status != 429 or not obeys:
        return 0.0
    if record.retry_after_ms is not None:
        return record.retry_after_ms / 1000
    return float(record.retry_after or 0)
