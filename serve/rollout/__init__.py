"""The opened bundle: the one that answers now, and the way of the next one there."""
