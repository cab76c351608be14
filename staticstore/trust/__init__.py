"""Signed sites: the signatures below ``trust/``, in the formats of TUF."""
