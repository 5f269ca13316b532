"""Copies of pictures: exact, by perceptual hash and by embedding; groups of them, and what is done with them."""
