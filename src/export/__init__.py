"""From a checkpoint to a bundle, and the runtimes that serve its encoder."""
