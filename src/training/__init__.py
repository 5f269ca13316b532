"""The training: Lightning module, trainer, callbacks, rates, and what a run keeps."""
