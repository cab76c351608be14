"""How bytes travel, and how they are verified."""
