"""Which parts of two images made them similar, and whether that can be believed."""
