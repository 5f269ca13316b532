"""Embeddings of images that were seen before: in the process, then in Redis."""
