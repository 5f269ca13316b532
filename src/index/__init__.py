"""Vector search. Needs neither torch nor Hydra: serving imports it."""
