"""One HTTP request, bounded and explained."""
