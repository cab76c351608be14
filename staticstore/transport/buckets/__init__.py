"""Sites in buckets: where they are, whose credentials are used, and how requests are signed."""
