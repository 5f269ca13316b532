"""Sweeps: trials that a study proposes, trains, prunes, and finishes after a kill."""
