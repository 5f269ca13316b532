"""A catalogue at scale: batches from images to embeddings and an index, and the store of embeddings."""
