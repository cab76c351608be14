"""Measurements against peers: ``make bench`` and ``make bench-full``.

Ours and the peers run in turn, each in a fresh process, and the medians and
their ratios are shown: machines are shared and noisy, and a ratio of two runs
side by side says more than a time.

    indexes.py      what is measured with: entries such as real sites have
    sites.py        sites made of them, in several states, and a live one that moves between them
    value_sites.py  sites with a large value and many small ones
    subjects/       what is measured, a module a subject
    streams.py      how the peers read one value
    fetchers.py     how the peers fetch many values or ranges
    line.py         a line to the server that delays and counts
    process.py      one run of one contender, in a process of its own
    report.py       medians, ratios and targets, as a table and as RESULTS.md
    chart.py        the same as a picture for the README
"""
