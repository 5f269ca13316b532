"""Items that are changed while they are searched, and what was changed."""
