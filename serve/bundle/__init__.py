"""One opened bundle."""
