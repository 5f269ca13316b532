"""Runs as trackers keep them: Weights & Biases, MLflow, TensorBoard."""
