"""One small file of each format, mode, bit depth and compression that is decoded, with its pixels."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.image_files import SHORT, bmp, packed, png, retagged, tiff
from tests.pictures import encode, smooth_picture

__all__ = ["HEIGHT", "KINDS", "PICTURE", "TIFF_KINDS", "WIDTH", "Kind", "draw"]

HEIGHT, WIDTH = 8, 14
PICTURE = smooth_picture(HEIGHT, WIDTH, seed=5)


@dataclass(frozen=True)
class Kind:
    """A file, and what it stands for.

    Attributes:
        data: the file.
        expected: float of shape (height, width, 3), 0 to 255, upright where nothing turns it.
        tolerance: 0.5 is exact but for rounding; 1 where alpha is rounded too, or 16 bits are cut to 8; 2 where both
            happen; more where the coding loses something.
    """

    data: bytes
    expected: np.ndarray
    tolerance: float = 0.5


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colour of shape (..., 1 or 3) and alpha of shape (..., 1), both 0 to 255, over white, as RGB."""
    return np.broadcast_to(colour * (alpha / 255) + 255 - alpha, (*colour.shape[:-1], 3))


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


def without_black(cmyk: np.ndarray) -> np.ndarray:
    return (255.0 - cmyk[..., :3]) * (255.0 - cmyk[..., 3:]) / 255


def draw(bits: int, *channels: int, seed: int = 0) -> np.ndarray:
    """Random integers of that many bits, of shape (height, width, *channels)."""
    return np.random.default_rng(seed).integers(0, 1 << bits, (HEIGHT, WIDTH, *channels))


def full(values: np.ndarray, bits: int) -> np.ndarray:
    """As 0 to 255."""
    return values * (255 / ((1 << bits) - 1))


def pngs() -> Iterator[tuple[str, Kind]]:
    for bits in (1, 2, 4, 8, 16):
        values = draw(bits)
        grey = rgb(full(values, bits))
        yield f"grey, {bits} bits", Kind(png(values, bits=bits, colour=0), grey)
        hidden = int(values[3, 4])
        data = png(values, bits=bits, colour=0, transparency=struct.pack(">H", hidden))
        yield f"grey, {bits} bits, one transparent", Kind(data, np.where((values == hidden)[..., None], 255, grey))
    for bits in (1, 2, 4, 8):
        values = draw(bits)
        palette = np.random.default_rng(1).integers(0, 256, (1 << bits, 3))
        alpha = np.random.default_rng(2).integers(0, 256, (1 << bits, 1))
        yield f"palette, {bits} bits", Kind(png(values, bits=bits, colour=3, palette=palette), palette[values])
        data = png(values, bits=bits, colour=3, palette=palette, transparency=alpha.astype(np.uint8).tobytes())
        yield f"palette, {bits} bits, transparent", Kind(data, on_white(palette[values], alpha[values]), 1)
    for bits in (8, 16):
        values = draw(bits, 3)
        colour, cut = full(values, bits), 1 if bits == 16 else 0.5
        yield f"RGB, {bits} bits", Kind(png(values, bits=bits, colour=2), colour, cut)
        data = png(values, bits=bits, colour=2, transparency=struct.pack(">3H", *values[3, 4].tolist()))
        hidden = (values == values[3, 4]).all(axis=-1, keepdims=True)
        yield f"RGB, {bits} bits, one transparent", Kind(data, np.where(hidden, 255, colour), cut)
        values = full(draw(bits, 4), bits)
        data = png(draw(bits, 4), bits=bits, colour=6)
        yield f"RGBA, {bits} bits", Kind(data, on_white(values[..., :3], values[..., 3:]), 2 * cut)
        values = full(draw(bits, 2), bits)
        data = png(draw(bits, 2), bits=bits, colour=4)
        yield f"grey and alpha, {bits} bits", Kind(data, on_white(values[..., :1], values[..., 1:]), 2 * cut)
    yield "interlaced", Kind(encode(PICTURE, "PNG", interlace=1), PICTURE)
    yield "animated", Kind(encode(PICTURE, "PNG", save_all=True, append_images=[Image.new("RGB", (14, 8))]), PICTURE)
    yield "with a profile", Kind(encode(PICTURE, "PNG", icc_profile=bytes(200)), PICTURE)


def tiffs() -> Iterator[tuple[str, Kind]]:
    for name, bits, photometric, samples, parts, expected, tolerance, tags in _layouts():
        for order, coded in (("<", False), (">", False), ("<", True), (">", True)):
            if order == ">" and (bits == 12 or (bits, photometric) == (16, 0)):
                continue  # Pillow reads these of little-endian files only.
            if order == ">" and bits == 32 and coded:
                continue  # It would misread these: they are refused.
            rows = [packed(part, bits, order=order) for part in parts]
            half = HEIGHT // 2
            strips = [b"".join(part[start : start + half]) for part in rows for start in (0, half)]
            given = {
                258: (SHORT, [bits] * samples),
                259: (SHORT, [8 if coded else 1]),
                262: (SHORT, [photometric]),
                277: (SHORT, [samples]),
                278: (SHORT, [half]),
                **tags,
            }
            strips = [zlib.compress(strip) for strip in strips] if coded else strips
            data = tiff(strips, width=WIDTH, height=HEIGHT, tags=given, order=order)
            what = f"{name}, {'little' if order == '<' else 'big'}-endian{', deflate' if coded else ''}"
            yield what, Kind(data, expected, tolerance)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "lzma", "zstd", "jpeg"):
        data = encode(PICTURE, "TIFF", compression=compression)
        yield compression, Kind(data, _by_pillow(data) if compression == "jpeg" else PICTURE, 1)
        yield f"{compression}, pixels at the end", Kind(retagged(data, {}), _by_pillow(data), 1)
    bits = PICTURE[..., 0] > 128
    for compression in ("tiff_ccitt", "group3", "group4"):
        data = encode(bits, "TIFF", compression=compression)
        yield compression, Kind(data, rgb(bits * 255))
        yield f"{compression}, pixels at the end", Kind(retagged(data, {}), rgb(bits * 255))
    tags = {317: 2}
    yield "predictor", Kind(encode(PICTURE, "TIFF", compression="tiff_lzw", tiffinfo=tags), PICTURE)
    yield from _tiled()
    yield "BigTIFF", Kind(encode(PICTURE, "TIFF", big_tiff=True), PICTURE)
    yield "several pages", Kind(encode(PICTURE, "TIFF", save_all=True, append_images=[Image.new("L", (3, 3))]), PICTURE)


def _tiled() -> Iterator[tuple[str, Kind]]:
    """Tiles of 16 x 16 pixels, which the picture's edges cut."""
    picture = smooth_picture(19, 37, seed=6)
    padded = np.pad(picture, ((0, 13), (0, 11), (0, 0)))
    tiles = [padded[top : top + 16, left : left + 16] for top in (0, 16) for left in (0, 16, 32)]
    tags = {258: (SHORT, [8] * 3), 262: (SHORT, [2]), 277: (SHORT, [3]), 322: (SHORT, [16]), 323: (SHORT, [16])}
    for order in "<>":
        data = tiff([tile.tobytes() for tile in tiles], width=37, height=19, tags=tags, order=order)
        yield f"tiles, {order}", Kind(data, picture)
        coded = [zlib.compress(tile.tobytes()) for tile in tiles]
        data = tiff(coded, width=37, height=19, tags={**tags, 259: (SHORT, [8])}, order=order)
        yield f"tiles, {order}, deflate", Kind(data, picture)


def _layouts() -> Iterator[tuple]:
    """Name, bits, photometric interpretation, samples, what is stored, expected, tolerance, further tags."""
    for bits in (1, 2, 4, 8, 12, 16):
        values = draw(bits)
        yield f"grey, {bits} bits", bits, 1, 1, [values], rgb(full(values, bits)), 0.5, {}
        if bits != 12:
            yield f"grey, {bits} bits, white is zero", bits, 0, 1, [values], rgb(255 - full(values, bits)), 0.5, {}
    for bits in (1, 2, 4, 8):
        palette = np.random.default_rng(4).integers(0, 256, (1 << bits, 3))
        values = draw(bits)
        colours = {320: (SHORT, (palette.T.ravel() * 257).tolist())}
        yield f"palette, {bits} bits", bits, 3, 1, [values], palette[values], 0.5, colours
    both = draw(8, 2)
    palette = np.random.default_rng(4).integers(0, 256, (256, 3))
    tags = {320: (SHORT, (palette.T.ravel() * 257).tolist()), 338: (SHORT, [2])}
    yield "palette and alpha", 8, 3, 2, [both], on_white(palette[both[..., 0]], both[..., 1:]), 1, tags
    yield "grey and alpha", 8, 1, 2, [both], on_white(both[..., :1], both[..., 1:]), 1, {338: (SHORT, [2])}
    for bits in (8, 16):
        cut = 1 if bits == 16 else 0.5
        values = draw(bits, 3)
        yield f"RGB, {bits} bits", bits, 2, 3, [values], full(values, bits), cut, {}
        apart = [values[..., channel] for channel in range(3)]
        if bits == 8:
            yield "RGB, planes apart", bits, 2, 3, apart, full(values, bits), cut, {284: (SHORT, [2])}
        values = draw(bits, 4)
        scaled = full(values, bits)
        flat = on_white(scaled[..., :3], scaled[..., 3:])
        yield f"RGBA, {bits} bits", bits, 2, 4, [values], flat, 2 * cut, {338: (SHORT, [2])}
        yield f"RGBA, {bits} bits, untold", bits, 2, 4, [values], flat, 2 * cut, {}
        yield f"RGB and more, {bits} bits", bits, 2, 4, [values], scaled[..., :3], cut, {338: (SHORT, [0])}
        yield f"CMYK, {bits} bits", bits, 5, 4, [values], without_black(scaled), 2 * cut, {}
        values[..., :3] = values[..., :3] * values[..., 3:] // ((1 << bits) - 1)
        scaled = full(values, bits)
        flat = scaled[..., :3] + 255 - scaled[..., 3:]
        # Pillow divides by alpha and multiplies again, each time in 8 bits.
        yield f"RGBA, {bits} bits, multiplied", bits, 2, 4, [values], flat, 3, {338: (SHORT, [1])}
    floats = np.random.default_rng(3).random((HEIGHT, WIDTH), np.float32)
    stored, real = floats.view(np.uint32), {339: (SHORT, [3])}
    yield "floating point", 32, 1, 1, [stored], rgb(floats * 255.0), 0.5, real
    yield "floating point, white is zero", 32, 0, 1, [stored], rgb(255 - floats * 255.0), 0.5, real
    yield "32-bit integers", 32, 1, 1, [draw(16)], rgb(full(draw(16), 16)), 0.5, {339: (SHORT, [2])}
    values = draw(8, 3)
    yield "YCbCr", 8, 6, 3, [values], _from_ycbcr(values), 1, {530: (SHORT, [1, 1])}
    # Colours that sRGB has: no two decoders cut the others off alike.
    lab = np.stack([draw(7) + 64, draw(4, seed=1) - 8 & 255, draw(4, seed=2) - 8 & 255], axis=-1)
    yield "CIELAB", 8, 8, 3, [lab], _from_lab(lab), 1.5, {}


def _from_ycbcr(values: np.ndarray) -> np.ndarray:
    """ITU-R BT.601, as JFIF has it."""
    y, blue, red = np.moveaxis(values.astype(float) - [0, 128, 128], -1, 0)
    colour = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], axis=-1)
    return np.clip(colour, 0, 255)


def _from_lab(values: np.ndarray) -> np.ndarray:
    """CIE 1976, white D50, to sRGB; a and b are signed bytes."""
    lightness = values[..., 0] * (100 / 255)
    a, b = (values[..., channel].astype(np.uint8).astype(np.int8).astype(float) for channel in (1, 2))
    y = (lightness + 16) / 116
    f = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * [0.9642, 1, 0.8249]
    to_xyz = [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
    linear = np.clip(xyz @ np.linalg.inv(to_xyz).T, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def bmps() -> Iterator[tuple[str, Kind]]:
    size = {"width": WIDTH, "height": HEIGHT}
    for bits in (1, 4, 8):
        values = draw(bits)
        palette = np.random.default_rng(6).integers(0, 256, (1 << bits, 3))
        blue_first = palette[:, ::-1].astype(np.uint8)
        padded = np.pad(blue_first, ((0, 0), (0, 1))).tobytes()
        data = bmp(packed(values, bits, order="<"), **size, bits=bits, palette=padded)
        yield f"{bits} bits", Kind(data, palette[values])
        data = bmp(packed(values, bits, order="<"), **size, bits=bits, palette=blue_first.tobytes())
        yield f"{bits} bits, OS/2", Kind(data, palette[values])
    values = draw(16)
    parts = np.stack([values >> 10 & 31, values >> 5 & 31, values & 31], axis=-1)
    yield "5, 5, 5 bits", Kind(bmp(packed(values, 16, order="<"), **size, bits=16), full(parts, 5), 1)
    data = bmp(packed(values, 16, order="<"), **size, bits=16, masks=(0xF800, 0x7E0, 0x1F))
    sixes = [full(values >> 11 & 31, 5), full(values >> 5 & 63, 6), full(values & 31, 5)]
    yield "5, 6, 5 bits", Kind(data, np.stack(sixes, axis=-1), 1)
    yield "24 bits", Kind(bmp(packed(PICTURE[..., ::-1], 8), **size, bits=24), PICTURE)
    four = draw(8, 4)
    data = bmp(packed(four, 8), **size, bits=32, masks=(0xFF0000, 0xFF00, 0xFF))
    yield "32 bits", Kind(data, four[..., 2::-1])
    data = bmp(packed(four, 8), **size, bits=32, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000))
    yield "32 bits with alpha", Kind(data, on_white(four[..., 2::-1], four[..., 3:]), 1)


def gifs() -> Iterator[tuple[str, Kind]]:
    image = Image.fromarray(PICTURE).quantize(16)
    expected = np.asarray(image.convert("RGB"))
    for interlace in (0, 1):
        name = "interlaced" if interlace else "plain"
        yield name, Kind(encode(image, "GIF", interlace=interlace), expected)
    hidden = np.asarray(image) == 3
    yield "transparent", Kind(encode(image, "GIF", transparency=3), np.where(hidden[..., None], 255, expected))
    yield "animated", Kind(encode(image, "GIF", save_all=True, append_images=[Image.new("P", (14, 8))]), expected)


def webps() -> Iterator[tuple[str, Kind]]:
    yield "lossless", Kind(encode(PICTURE, "WEBP", lossless=True), PICTURE)
    four = np.dstack([PICTURE, draw(8).astype(np.uint8)])
    data = encode(four, "WEBP", lossless=True, exact=True)
    yield "lossless with alpha", Kind(data, on_white(four[..., :3], four[..., 3:]), 1)
    for name, options in (("lossy", {}), ("with a profile", {"icc_profile": bytes(200)})):
        data = encode(PICTURE, "WEBP", quality=95, **options)
        yield name, Kind(data, _by_pillow(data), 1)
    data = encode(PICTURE, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", (14, 8), "red")])
    yield "animated", Kind(data, PICTURE)


def jpegs() -> Iterator[tuple[str, Kind]]:
    image = Image.fromarray(PICTURE)
    options = {
        "plain": {},
        "progressive": {"progressive": True},
        "subsampled": {"subsampling": 2},
        "not subsampled": {"subsampling": 0},
        "RGB": {"keep_rgb": True},
        "with a profile": {"icc_profile": bytes(200)},
    }
    for name, given in options.items():
        data = encode(image, "JPEG", **given)
        yield name, Kind(data, _by_pillow(data), 1)
    data = encode(image.convert("L"), "JPEG")
    yield "grey", Kind(data, _by_pillow(data), 1)
    data = encode(image, "MPO", save_all=True, append_images=[Image.new("RGB", (14, 8))])
    yield "several pictures", Kind(data, _by_pillow(data), 1)
    # Four channels: what libjpeg loses at full quality is 2 in each of them.
    inks = np.array(image.convert("CMYK"))
    inks[..., 3] = np.linspace(0, 90, WIDTH).astype(np.uint8)
    data = encode(Image.fromarray(inks, "CMYK"), "JPEG", quality=100, subsampling=0)
    yield "CMYK", Kind(data, without_black(inks), 4)
    yield "YCCK", Kind(_ycck(inks), without_black(inks), 4)


def _by_pillow(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _ycck(inks: np.ndarray) -> bytes:
    """Colours as YCbCr, black apart; Pillow writes inks as they come, so that the marker is what makes it YCCK."""
    red, green, blue = np.moveaxis(inks[..., :3].astype(float), -1, 0)
    planes = [
        0.299 * red + 0.587 * green + 0.114 * blue,
        128 - 0.168736 * red - 0.331264 * green + 0.5 * blue,
        128 + 0.5 * red - 0.418688 * green - 0.081312 * blue,
        255.0 - inks[..., 3],
    ]
    stored = 255 - np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8)
    data = bytearray(encode(Image.fromarray(stored, "CMYK"), "JPEG", quality=100, subsampling=0))
    data[data.index(b"Adobe") + 11] = 2
    return bytes(data)


TIFF_KINDS = {f"TIFF: {name}": kind for name, kind in tiffs()}

KINDS = {
    f"{form}: {name}": kind
    for form, made in {"PNG": pngs, "BMP": bmps, "GIF": gifs, "WebP": webps, "JPEG": jpegs}.items()
    for name, kind in made()
} | TIFF_KINDS
