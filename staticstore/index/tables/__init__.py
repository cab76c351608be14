"""Entries as a table with a column for each field, for Arrow, pandas and polars."""
