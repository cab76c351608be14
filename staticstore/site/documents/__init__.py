"""The files that a published site consists of, besides its values."""
