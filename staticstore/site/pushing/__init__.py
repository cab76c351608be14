"""The steps of a push, and the hosts that it uploads to."""
