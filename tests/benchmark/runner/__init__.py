"""Runs espalier and its peers side by side; ../README.md says how and why.

    __main__         the command line
    benchmark        a whole run
    rows             what is measured: the rows, and who takes part
    pictures         the sample pictures as the rows need them
    cut_network      a cutout of a model directory as a PyTorch module, in three forms
    exports          cutouts as ONNX files
    processes        starting, pinning and stopping; processes that answer lines of JSON
    contenders       ONNX Runtime, PyTorch and espalier, seen alike
    espalier         the program: bench, classify, serve
    torch_peer       the PyTorch process
    answers          whether scores are the same
    settings         how long it takes
    engine_rows      the rows of the engine: check, choose, measure
    service_rows     the rows of the service: check, measure
    turns            rounds, medians, ratios
    machine          what the figures were measured on, and with; whether it is quiet
    table            the figures as Markdown
"""
