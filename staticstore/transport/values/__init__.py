"""One value, read in every way."""
