"""The forms in which a snapshot keeps its entries."""
