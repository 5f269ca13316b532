"""Which of the formats that are read a file begins as."""

__all__ = ["SIGNATURE_BYTES", "signed_format"]

SIGNATURE_BYTES = 18
"""As many of a file's first bytes tell its format."""

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II\0*": "TIFF",  # as some programs write it, and Pillow reads it
    b"MM*\0": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def signed_format(start: bytes) -> str | None:
    """The format by a file's signature, whatever its name; None where it is none that is read.

    Args:
        start: the file, or its first `SIGNATURE_BYTES` bytes.
    """
    for signature, name in _SIGNATURES.items():
        if start.startswith(signature):
            return name
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    # Two letters may begin any text: the size of the header that follows may not.
    if start[:2] == b"BM" and int.from_bytes(start[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return None
