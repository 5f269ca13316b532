"""Parts of one's own. Importing the package registers the names of its backbone, its head and its reader."""

from my_parts import backbone, head, reader

__all__ = ["backbone", "head", "reader"]
