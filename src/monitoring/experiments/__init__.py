"""Experiments between two models in production: who sees which, and what follows from what they did."""
