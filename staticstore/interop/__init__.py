"""Integrations: desktop programs and Qt, and the stores and file systems of other libraries."""
