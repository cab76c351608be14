"""The commands that sign: ``keys``, ``renew``; and where passphrases come from."""
