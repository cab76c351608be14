"""The steps of a mirror run."""
