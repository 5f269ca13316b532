"""How many sets of Huffman tables a lossless WebP has.

libwebp holds all of them at once, up to 20 KB each: a picture of 1,024 x 1,024 pixels in 300 KB can have 65,536, which
are 900 MB. Encoders make up to a few thousand. The number follows from a small image at the front of the file, which is
decoded here, after those of the transforms before it (RFC 9649, section 3).
"""

from collections.abc import Sequence

__all__ = ["MOST_TABLES", "TABLES_BYTES", "huffman_tables"]

MOST_TABLES = 65_536
"""Sets of tables that a file can have."""

TABLES_BYTES = 20_600
"""Of one set, at most: five tables, the first with a cache of 2,048 colours."""

_MOST_PIXELS = 200_000
"""Of all images at the front: a third of a second in Python."""

_LENGTHS_ORDER = (17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
_PREDICTOR, _CROSS_COLOUR, _PALETTE = 0, 1, 3
_LITERALS, _PREFIXES, _DISTANCES = 256, 24, 40
# fmt: off
_NEAR = (
    (0, 1), (1, 0), (1, 1), (-1, 1), (0, 2), (2, 0), (1, 2), (-1, 2), (2, 1), (-2, 1), (2, 2), (-2, 2), (0, 3), (3, 0),
    (1, 3), (-1, 3), (3, 1), (-3, 1), (2, 3), (-2, 3), (3, 2), (-3, 2), (0, 4), (4, 0), (1, 4), (-1, 4), (4, 1),
    (-4, 1), (3, 3), (-3, 3), (2, 4), (-2, 4), (4, 2), (-4, 2), (0, 5), (3, 4), (-3, 4), (4, 3), (-4, 3), (5, 0),
    (1, 5), (-1, 5), (5, 1), (-5, 1), (2, 5), (-2, 5), (5, 2), (-5, 2), (4, 4), (-4, 4), (3, 5), (-3, 5), (5, 3),
    (-5, 3), (0, 6), (6, 0), (1, 6), (-1, 6), (6, 1), (-6, 1), (2, 6), (-2, 6), (6, 2), (-6, 2), (4, 5), (-4, 5),
    (5, 4), (-5, 4), (3, 6), (-3, 6), (6, 3), (-6, 3), (0, 7), (7, 0), (1, 7), (-1, 7), (5, 5), (-5, 5), (7, 1),
    (-7, 1), (4, 6), (-4, 6), (6, 4), (-6, 4), (2, 7), (-2, 7), (7, 2), (-7, 2), (3, 7), (-3, 7), (7, 3), (-7, 3),
    (5, 6), (-5, 6), (6, 5), (-6, 5), (8, 0), (4, 7), (-4, 7), (7, 4), (-7, 4), (8, 1), (8, 2), (6, 6), (-6, 6),
    (8, 3), (5, 7), (-5, 7), (7, 5), (-7, 5), (8, 4), (6, 7), (-6, 7), (7, 6), (-7, 6), (8, 5), (7, 7), (-7, 7),
    (8, 6), (8, 7),
)
# fmt: on
"""Distances 1 to 120: columns to the left, rows up."""


class _UndecidedError(Exception):
    """Damaged, or too long to be decoded here."""


def huffman_tables(coded: bytes, width: int, height: int) -> int:
    """Count the sets of tables that libwebp makes.

    Args:
        coded: the bit stream, behind the size of the picture.
        width: of the picture, in pixels.
        height: likewise.

    Returns:
        Their number; of damaged files, and of those whose images at the front are too large to be decoded in Python,
        the most that the picture and the file have room for.
    """
    most = min(MOST_TABLES, _parts(width, 2) * _parts(height, 2), max(1, len(coded) * 8 // 20))
    try:
        return min(most, _Reader(coded).tables(width, height))
    except _UndecidedError:
        return most


class _Reader:
    """Reads bits, the lowest first, and what is made of them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0
        self._left = _MOST_PIXELS

    def tables(self, width: int, height: int) -> int:
        """The number of sets of tables of the picture that begins here."""
        seen = set()
        while self._bits(1):
            transform = self._bits(2)
            if transform in seen:
                raise _UndecidedError
            seen.add(transform)
            if transform in (_PREDICTOR, _CROSS_COLOUR):
                bits = self._bits(3) + 2
                self._image(_parts(width, bits), _parts(height, bits))
            elif transform == _PALETTE:
                colours = self._bits(8) + 1
                self._image(colours, 1)
                width = _parts(width, 0 if colours > 16 else 1 if colours > 4 else 2 if colours > 2 else 3)
        if self._bits(1):
            self._bits(4)
        if not self._bits(1):
            return 1
        bits = self._bits(3) + 2
        chosen = [pixel >> 8 & 0xFFFF for pixel in self._image(_parts(width, bits), _parts(height, bits))]
        # Above a thousand, libwebp makes only those that are used.
        return len(set(chosen)) if max(chosen) >= 1000 else max(chosen) + 1

    def _bits(self, count: int) -> int:
        byte = self._place >> 3
        value = int.from_bytes(self._data[byte : byte + 5], "little") >> (self._place & 7)
        self._place += count
        if self._place > 8 * len(self._data):
            raise _UndecidedError
        return value & ((1 << count) - 1)

    def _image(self, width: int, height: int) -> list[int]:
        """Pixels as 32 bits: alpha, red, green, blue."""
        self._left -= width * height
        if self._left < 0:
            raise _UndecidedError
        cache_bits = self._bits(4) if self._bits(1) else 0
        cached = 1 << cache_bits if cache_bits else 0
        cache = [0] * cached
        sizes = (_LITERALS + _PREFIXES + cached, _LITERALS, _LITERALS, _LITERALS, _DISTANCES)
        green, red, blue, alpha, distances = (self._code(size) for size in sizes)
        pixels: list[int] = []
        while len(pixels) < width * height:
            symbol = self._symbol(green)
            if symbol < _LITERALS:
                new = [symbol << 8 | self._symbol(red) << 16 | self._symbol(blue) | self._symbol(alpha) << 24]
            elif symbol < _LITERALS + _PREFIXES:
                length = self._number(symbol - _LITERALS)
                distance = _distance(self._number(self._symbol(distances)), width)
                if distance > len(pixels) or length > width * height - len(pixels):
                    raise _UndecidedError
                repeated = pixels[-distance:][:length]
                new = (repeated * (length // len(repeated) + 1))[:length]
            else:
                new = [cache[symbol - _LITERALS - _PREFIXES]]
            pixels += new
            if cache_bits:
                for pixel in new:
                    cache[(0x1E35A7BD * pixel & 0xFFFFFFFF) >> (32 - cache_bits)] = pixel
        return pixels

    def _number(self, prefix: int) -> int:
        if prefix < 4:
            return prefix + 1
        extra = prefix - 2 >> 1
        return (2 + (prefix & 1) << extra) + self._bits(extra) + 1

    def _symbol(self, code: Sequence[tuple[int, int]]) -> int:
        byte = self._place >> 3
        value = int.from_bytes(self._data[byte : byte + 3], "little") >> (self._place & 7)
        symbol, length = code[value & (len(code) - 1)]
        self._place += length
        if self._place > 8 * len(self._data):
            raise _UndecidedError
        return symbol

    def _code(self, size: int) -> Sequence[tuple[int, int]]:
        """A table of (symbol, bits), by the bits that follow."""
        lengths = [0] * size
        if self._bits(1):
            several = self._bits(1)
            symbols = [self._bits(8 if self._bits(1) else 1)]
            if several:
                symbols.append(self._bits(8))
            for symbol in symbols:
                if symbol < size:
                    lengths[symbol] = 1
            return _table(lengths)
        of_lengths = [0] * len(_LENGTHS_ORDER)
        for place in _LENGTHS_ORDER[: self._bits(4) + 4]:
            of_lengths[place] = self._bits(3)
        code = _table(of_lengths)
        left = 2 + self._bits(2 + 2 * self._bits(3)) if self._bits(1) else size
        place, before = 0, 8
        while place < size and left:
            left -= 1
            length = self._symbol(code)
            if length < 16:
                lengths[place] = length
                place, before = place + 1, length or before
                continue
            extra, least = {16: (2, 3), 17: (3, 3), 18: (7, 11)}[length]
            repeats = least + self._bits(extra)
            if place + repeats > size:
                raise _UndecidedError
            lengths[place : place + repeats] = [before if length == 16 else 0] * repeats
            place += repeats
        return _table(lengths)


def _table(lengths: list[int]) -> Sequence[tuple[int, int]]:
    """Canonical codes, the shortest first, then by symbol; a code of one symbol takes no bit."""
    symbols = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    if len(symbols) == 1:
        return [(symbols[0][1], 0)]
    if not symbols or sum(1 << (15 - length) for length, _ in symbols) != 1 << 15:
        raise _UndecidedError
    longest = symbols[-1][0]
    table = [(0, 0)] * (1 << longest)
    code, before = 0, symbols[0][0]
    for length, symbol in symbols:
        code <<= length - before
        before = length
        backwards = int(f"{code:0{length}b}"[::-1], 2)
        table[backwards :: 1 << length] = [(symbol, length)] * (1 << (longest - length))
        code += 1
    return table


def _distance(number: int, width: int) -> int:
    """Pixels back: the first 120 numbers stand for near ones, in columns and rows."""
    if number > len(_NEAR):
        return number - len(_NEAR)
    left, up = _NEAR[number - 1]
    return max(1, up * width + left)


def _parts(side: int, bits: int) -> int:
    """Blocks of 2^bits pixels along a side."""
    return (side + (1 << bits) - 1) >> bits
