"""The commands, a module each, what they share, and how they end."""
