"""The recipes of docs/cookbook.md, as they stand there, and what reading costs."""
