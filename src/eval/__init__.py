"""Retrieval metrics on FAISS: ranks of the positives first, metrics from the ranks."""
