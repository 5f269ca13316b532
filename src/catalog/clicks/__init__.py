"""Judgements from an interactions log, corrected for the rank at which items were shown."""
