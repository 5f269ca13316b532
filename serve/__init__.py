"""A slim service over one bundle. Imports neither torch nor Hydra: the serving image has neither."""
