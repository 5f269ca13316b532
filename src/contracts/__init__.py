"""What all stages agree on: tables, preprocessing, the bundle and the settings."""
