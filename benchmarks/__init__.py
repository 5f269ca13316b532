"""The scripts behind docs/benchmarks.md."""
