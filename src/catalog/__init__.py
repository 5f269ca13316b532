"""Catalogues: readers, splits, leakage between splits, and the audit of rows."""
