"""The command finds what was planted in a catalogue, writes what it says, and explains what it refuses."""

import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFilter

from src.catalog.check_images import main
from tests.pictures import encode, smooth_picture


def check(repository: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "src.catalog.check_images", *map(str, arguments)]
    return subprocess.run(command, cwd=repository, capture_output=True, text=True)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Twelve items of two pictures; faults and duplicates among them, and one picture under eight."""
    root = tmp_path / "shop"
    for item in range(12):
        (root / f"i{item:02d}").mkdir(parents=True)
        picture = Image.fromarray(smooth_picture(200, 160, seed=item))
        (root / f"i{item:02d}" / "a.jpg").write_bytes(encode(picture, "JPEG", quality=92))
        if item < 8:
            (root / f"i{item:02d}" / "none.png").write_bytes(encode(smooth_picture(90, 90, seed=99), "PNG"))
    first = Image.fromarray(smooth_picture(200, 160, seed=0))
    (root / "i09" / "near.jpg").write_bytes(encode(first.resize((120, 150)), "JPEG", quality=60))
    (root / "i10" / "broken.jpg").write_bytes(encode(first, "JPEG")[:900])
    (root / "i11" / "blurred.jpg").write_bytes(encode(first.filter(ImageFilter.GaussianBlur(6)), "JPEG"))
    return root


def test_a_folder_is_checked(repository: Path, shop: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    done = check(repository, shop, "--output", output, "--workers", 1)
    assert done.returncode == 0, done.stderr
    findings = {row["image_id"]: row["reason"] for row in pq.read_table(output / "findings.parquet").to_pylist()}
    found = {image: reason for image, reason in findings.items() if reason}
    expected = {f"i{item:02d}/none.png": "placeholder" for item in range(8)}
    assert found == expected | {"i10/broken.jpg": "corrupt", "i11/blurred.jpg": "blurred"}
    assert len(findings) == 23
    pairs = pq.read_table(output / "duplicates.parquet").to_pylist()
    assert {(row["image_id"], row["other_id"]) for row in pairs if row["kind"] == "near"} == {
        ("i00/a.jpg", "i09/near.jpg")
    }
    assert sum(row["kind"] == "exact" for row in pairs) == 7
    assert "23 images, 13 good" in done.stdout
    assert "placeholder" in (output / "report.html").read_text()


def test_missing_files_of_a_manifest_are_findings(repository: Path, shop: Path, tmp_path: Path) -> None:
    (shop / "items.csv").write_text("label,path\nx,i00/a.jpg\ny,gone.jpg\n")
    output = tmp_path / "out"
    arguments = (shop, "--manifest", "items.csv", "--columns", "item_id=label", "image=path", "--output", output)
    done = check(repository, *arguments, "--limit", "min_side=170")
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(output / "findings.parquet").to_pylist()
    assert [(row["reason"], row["message"]) for row in rows] == [
        ("too_small", "too_small: 160 x 200 pixels, limit 170"),
        ("missing", "no such file"),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--limit", "sharpness=3"], "--limit sharpness=3: must be NAME=VALUE"),
        (["--limit", "max_blur=much"], "'much' is no number"),
        (["--manifest", "absent.csv"], "absent.csv"),
    ],
)
def test_what_cannot_work_is_explained(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(shop), "--output", str(tmp_path / "out"), *arguments])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err
