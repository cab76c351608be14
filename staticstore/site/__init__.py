"""What makes a folder a site: publish it, verify it, serve it."""
