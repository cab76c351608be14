"""Sites in buckets: locations, credentials, and signed requests."""
