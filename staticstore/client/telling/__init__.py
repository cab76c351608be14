"""Notifying those who subscribe to changes."""
