"""Lookalike: visual similarity search for e-commerce, from a catalogue to a served bundle."""
