"""The reader: a store that is connected to a site and follows it."""
