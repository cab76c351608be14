"""What pickles of stores and values carry, and what unpickled ones share in a process."""
