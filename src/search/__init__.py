"""The one way to search: a bundle opened, an image in, items out. No torch here."""

from src.search.box import Box
from src.search.gallery import Gallery, Hit, UnknownItemError
from src.search.searcher import Searcher

__all__ = ["Box", "Gallery", "Hit", "Searcher", "UnknownItemError"]
