"""The encoder, its checkpoint, and the classical baselines."""
