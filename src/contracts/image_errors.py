"""Why bytes are no usable image."""

from src.contracts.errors import LookalikeError

__all__ = ["CorruptImageError", "ImageError", "ImageTooLargeError", "UnsupportedImageError"]


class ImageError(LookalikeError):
    """Bytes that are no usable image; the message says why."""


class UnsupportedImageError(ImageError):
    """Not one of the formats that are read."""


class ImageTooLargeError(ImageError):
    """More pixels, or more work, than the limit (a decompression bomb, or a scan that should be scaled down first)."""


class CorruptImageError(ImageError):
    """Truncated or damaged."""
