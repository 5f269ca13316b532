"""Drift: whether what is asked now looks like what was asked before, by counts that add up across processes."""

from src.monitoring.drift.comparison import Comparison, Family, Finding, compare
from src.monitoring.drift.window import Window

__all__ = ["Comparison", "Family", "Finding", "Window", "compare"]
