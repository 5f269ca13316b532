"""How many machines a catalogue needs, from what was measured on one: python -m src.index.capacity --help."""
