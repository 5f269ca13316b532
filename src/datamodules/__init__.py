"""From a catalogue to batches: pixels, samplers, augmentation and the Lightning datamodule."""
