"""What decoders hold beside the picture that they make: an upper bound, by the file's header."""

from PIL import Image
from PIL.BmpImagePlugin import BmpImageFile
from PIL.PngImagePlugin import MAX_TEXT_CHUNK, MAX_TEXT_MEMORY
from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    PHOTOMETRIC_INTERPRETATION,
    ROWSPERSTRIP,
    TILELENGTH,
    TILEWIDTH,
    TiffImageFile,
)

from src.contracts.jpeg_frame import JpegFrame
from src.contracts.png_chunks import png_chunks
from src.contracts.vp8l import TABLES_BYTES, huffman_tables
from src.contracts.webp import WebP, has_libwebp

__all__ = ["jpeg_memory", "pillow_memory", "webp_memory"]

_BLOCK = 64 * 2
"""Bytes of a JPEG's block of 8 x 8 coefficients."""

_COPIES = 4
"""Of what stands beside the pixels (EXIF, profiles, tags): as it came, in parts, joined, and parsed."""

_INFLATION = 1032
"""Bytes that one byte of zlib's can become."""

_INFLATED = (b"zTXt", b"iTXt", b"iCCP")
_YCBCR = 6
_MIB = 1024 * 1024


def jpeg_memory(image: Image.Image, frame: JpegFrame) -> int:
    """Bytes for the segments, and for the coefficients where there are several scans, whatever the scale."""
    coefficients = 0
    if frame.several_scans:
        sampling = [(max(1, across), max(1, down)) for _, across, down, _ in image.layer]  # type: ignore[attr-defined]
        columns = -(-image.width // (8 * max(across for across, _ in sampling)))
        rows = -(-image.height // (8 * max(down for _, down in sampling)))
        coefficients = columns * rows * sum(across * down for across, down in sampling) * _BLOCK
    return _COPIES * frame.scan + coefficients


def webp_memory(webp: WebP, data: bytes) -> int:
    """Bytes for libwebp's own planes and tables, and for Pillow's canvases where it must decode."""
    _, _, width, height = webp.frame
    pixels = width * height
    memory = _COPIES * (len(webp.exif) + len(webp.xmp))
    if webp.lossless or webp.alpha:
        # The pixels, and a plane of alpha; alpha itself is coded as a lossless picture is.
        memory += (4 if webp.lossless else 5) * pixels
    if webp.frame != (0, 0, webp.width, webp.height):
        memory += 3 * pixels
    if webp.entropy_coded is not None:
        memory += TABLES_BYTES * huffman_tables(data[webp.entropy_coded], width, height)
    if not has_libwebp():
        memory += 16 * webp.width * webp.height
    return memory


def pillow_memory(image: Image.Image, data: bytes) -> int:
    """Bytes for what Pillow's other decoders hold."""
    if isinstance(image, TiffImageFile):
        return _tiff(image, len(data))
    if image.format == "PNG":
        return _png(data)
    if image.format == "GIF":
        return _COPIES * min(len(data), 4 * _MIB)
    # Run-length coded, a BMP is decoded in Python.
    run_length = isinstance(image, BmpImageFile) and image.tile and image.tile[0][0] == "bmp_rle"
    return 2 * image.width * image.height + len(data) if run_length else 0


def _tiff(image: TiffImageFile, length: int) -> int:
    tags = image.tag_v2
    memory = 2 * length + 600 * len(image.tile)
    if image.info.get("compression") != "raw":
        rows = min(_integer(tags.get(ROWSPERSTRIP), image.height), max(image.size))
        columns = max(image.size)
        if TILEWIDTH in tags:
            columns, rows = _integer(tags.get(TILEWIDTH), columns), _integer(tags.get(TILELENGTH), rows)
        bits = sum(tags.get(BITSPERSAMPLE, (1,)))
        if tags.get(PHOTOMETRIC_INTERPRETATION) == _YCBCR:
            bits = max(bits, 32)
        # A strip or tile as it is unpacked; as large a window, for two of the compressions.
        windows = 2 if image.info["compression"] in ("lzma", "zstd") else 1
        memory += windows * columns * rows * bits // 8
    if "jpeg" in str(image.info.get("compression")):
        memory += 8 * image.width * image.height
    return memory


def _png(data: bytes) -> int:
    texts = others = 0
    for kind, _, length in png_chunks(data):
        if kind in _INFLATED:
            texts += min(MAX_TEXT_CHUNK, _INFLATION * length)
        if kind != b"IDAT":
            others += length
    return min(texts, MAX_TEXT_MEMORY) + _COPIES * min(others, len(data))


def _integer(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
