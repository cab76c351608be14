"""Measurements against peers: ``make bench``.

Ours and the peers run in turn, each in a fresh process, and the medians and
their ratios are printed: machines are shared and noisy, and a ratio of two
runs side by side says more than a time.
"""
