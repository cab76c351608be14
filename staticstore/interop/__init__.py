"""What others plug in: the loops of desktop programs, and what their windows show."""
