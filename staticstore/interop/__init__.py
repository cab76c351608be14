"""Integrations: the event loops of desktop programs, and models and widgets of Qt."""
