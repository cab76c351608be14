"""The cache of values and indexes on the disk."""
