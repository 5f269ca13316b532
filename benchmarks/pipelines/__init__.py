"""What the batch pipelines reach, and what they survive."""
