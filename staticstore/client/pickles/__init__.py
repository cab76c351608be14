"""Pickles of stores and values, and what unpickled ones share in a process."""
