"""Sweeps: an Optuna study proposes trials, trains and prunes them, and can be continued after a kill."""
