"""Tests that need a window: run by test_windows.py, in processes of their own.

A toolkit that is loaded stays, two of them do not go together, and one that crashes takes its
process with it.  By hand::

    QT_QPA_PLATFORM=offscreen python -m pytest -o addopts= tests/interop/windows/test_qt_dispatch.py
"""
