"""Metrics of the running service from the stream of its interactions."""
