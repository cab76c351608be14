"""The folder of a site: what is in it, what is withheld, and digests."""
