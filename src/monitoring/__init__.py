"""Watching a served model: drift of its inputs and embeddings, experiments between two of them."""
