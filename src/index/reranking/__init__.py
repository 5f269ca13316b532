"""Better orders for what a search found: pure NumPy on candidate lists, for evaluation and for serving."""
