"""Measurements of the pipelines."""
