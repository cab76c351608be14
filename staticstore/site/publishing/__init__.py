"""The steps of a publish, and metadata files."""
