"""Catalogues: readers, splits, leakage between splits, the audit of rows, faults and duplicates of images."""
