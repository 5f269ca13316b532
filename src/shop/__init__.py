"""The built-in shop: a simulated catalogue with known ground truth, so that everything runs without a download."""

from src.shop.clicks import EXAMINATION, RELEVANCE
from src.shop.writer import open_shop, write_shop

__all__ = ["EXAMINATION", "RELEVANCE", "open_shop", "write_shop"]
