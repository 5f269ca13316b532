import io
import struct
import time

import numpy as np
import pytest
from PIL import Image

from benchmarks.serving.bombs import BOMBS
from benchmarks.serving.mutations import mutations, seeds
from src.contracts import decoding
from src.contracts.image_structure import check_structure
from src.contracts.preprocessing import CorruptImageError, ImageError, ImageTooLargeError, decode


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("png, a million chunks", CorruptImageError, "16,384 chunks"),
        ("png 60,000,000 x 1", ImageTooLargeError, "no side may have more than 32,767"),
        ("jpeg, four million empty segments", CorruptImageError, "2,048 segments"),
        ("jpeg, a million EXIF segments", CorruptImageError, "64 segments of EXIF"),
        ("jpeg, EXIF that names itself", CorruptImageError, "5,000 tags"),
        ("jpeg, thousands of scans", ImageTooLargeError, "pixels in 28 scans or more"),
        ("gif, eight million comments", CorruptImageError, "16,384 blocks"),
        ("gif, frame larger than the screen", ImageTooLargeError, "at most 64,000,000"),
        ("tiff, sixty thousand tags", CorruptImageError, "60,009 tags"),
        ("tiff, four million strips", CorruptImageError, "4,194,304 strips in this TIFF; at most 131,072"),
        ("tiff, tile larger than the picture", ImageTooLargeError, "tiles of 30000 x 30000"),
    ],
)
def test_costly_file_is_refused_at_once(name, error, words):
    data = BOMBS[name]()
    started = time.process_time()
    with pytest.raises(error, match=words):
        decode(data)
    assert time.process_time() - started < 2  # Some take minutes without the check.


def test_a_tiff_of_one_row_a_strip_is_read():
    for big in (False, True):
        buffer = io.BytesIO()
        Image.new("L", (1, 32_767), 7).save(buffer, "TIFF", strip_size=1, big_tiff=big, compression="packbits")
        with Image.open(buffer) as image:
            assert len(image.tag_v2[273]) == 32_767
        assert decode(buffer.getvalue()).shape == (32_767, 1, 3)


def test_junk_between_segments_is_refused():
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "JPEG")
    plain = buffer.getvalue()
    comment = b"\xff\xfe\x00\x02"
    assert decode(plain[:2] + comment + bytes(1000) + plain[2:]).shape == (9, 9, 3)
    for junk in (bytes(70_000), b"\xff" * 70_000):
        with pytest.raises(CorruptImageError, match="belong to no segment"):
            decode(plain[:2] + comment + junk + plain[2:])


def test_many_scans_of_few_pixels_are_refused_too():
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "JPEG", progressive=True)
    plain = buffer.getvalue()
    scan = plain[plain.rindex(b"\xff\xda") : -2]
    check_structure(plain[:-2] + 80 * scan + plain[-2:])
    with pytest.raises(ImageTooLargeError, match="101 scans"):
        check_structure(plain[:-2] + 100 * scan + plain[-2:])


def test_what_photos_have_passes():
    """Profiles in many segments, progressive scans, a thumbnail in the EXIF, a film behind the picture."""
    buffer = io.BytesIO()
    thumbnail = io.BytesIO()
    Image.new("RGB", (32, 32)).save(thumbnail, "JPEG", progressive=True)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + bytes(4) + thumbnail.getvalue()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (300, 200, 3), dtype=np.uint8)).save(
        buffer, "JPEG", progressive=True, icc_profile=rng.bytes(2_000_000), exif=exif
    )
    film = rng.bytes(8_000_000)  # Holds the marker of a scan a hundred times.
    assert film.count(b"\xff\xda") > 80
    assert decode(buffer.getvalue() + film).shape == (200, 300, 3)


def test_check_itself_takes_any_bytes():
    for name, data in seeds().items():
        check_structure(data)
        for length in range(0, len(data), max(1, len(data) // 50)):
            check_structure(data[:length])
        assert decode(data).ndim == 3, name
    for _, _, data in mutations(600, seed=1):
        try:
            check_structure(data)
        except ImageError:
            continue


def test_strips_change_no_pixel(monkeypatch):
    """Every kind of file, converted a row at a time and all at once."""
    for name, data in seeds().items():
        whole = decode(data)
        monkeypatch.setattr(decoding, "_STRIP", 50)
        np.testing.assert_array_equal(decode(data), whole, err_msg=name)
        monkeypatch.undo()


def test_a_webp_of_many_tags_is_refused():
    tags = b"II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + bytes(12 * 5_000)
    buffer = io.BytesIO()
    Image.new("RGB", (9, 9)).save(buffer, "WEBP", exif=b"Exif\0\0" + tags)
    with pytest.raises(CorruptImageError, match="5,000 tags"):
        decode(buffer.getvalue())
