"""Parts of one's own. Importing the package registers the names of its backbone and its head."""

from my_parts import backbone, head

__all__ = ["backbone", "head"]
