"""Tests that need a window: run by test_windows.py, in processes of their own.

A toolkit cannot be unloaded, two of them do not work together, and one that crashes ends its
process.  By hand::

    QT_QPA_PLATFORM=offscreen python -m pytest -o addopts= tests/interop/windows/test_qt_dispatch.py
"""
