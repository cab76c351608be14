"""Measurements against peers: ``make bench`` and ``make bench-full``.

Ours and the peers run in turn, each in a new process.  Medians and their ratios are
shown: on a shared, noisy machine, a ratio of two adjacent runs says more than a time.

    indexes.py      indexes with entries like those of real sites
    sites.py        sites made of them in several states, and one that switches between them
    value_sites.py  sites with a large value and many small ones
    channel_sites.py    indexes of a conda channel
    subjects/       what is measured: each module a group of subjects
    streams.py      how the peers read one value
    fetchers.py     how the peers fetch many values or ranges
    line.py         a relay to the server that delays and counts
    process.py      one run of one contender in its own process
    record.py       medians, kept in results.json until a subject is measured again
    report.py       medians, ratios and targets, as a table and as RESULTS.md
    chart.py        the same as a chart for the README
    cookbook.py     bytes and requests of the recipes of docs/cookbook.md, by itself
"""
