"""The encoder, its checkpoint, the Lightning module that trains it, and the classical baseline."""
