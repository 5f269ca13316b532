"""The stages of a search: decoding, embedding in batches, searching, and the fallbacks."""
