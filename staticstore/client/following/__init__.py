"""Following a site: its index, kept current."""
