"""Drift: whether what is asked now looks like what was asked before, by counts that add up across processes."""
