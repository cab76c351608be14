"""What each command does, and how it ends, once `cli` has understood what was asked."""
