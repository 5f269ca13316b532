"""A search on its way: stages, threads, batches."""
