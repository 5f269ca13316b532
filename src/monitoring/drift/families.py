"""The families of tests, each with a budget of false alarms of its own."""

__all__ = ["FAMILIES"]

FAMILIES = ("dimensions", "components", "rank", "norm", "score", "inputs", "categories", "slices")
