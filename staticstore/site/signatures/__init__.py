"""Signatures of a site: keys, what they sign, and how they are replaced."""
