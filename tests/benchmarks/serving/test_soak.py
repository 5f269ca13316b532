"""What a soak is judged by, and a small one."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.memory import growth_per_hour
from benchmarks.serving.soak import main
from benchmarks.serving.twin_bundle import write_twin
from src.contracts.bundle import open_bundle
from tests.search.small_bundle import Shop


def test_the_trend_of_memory_sees_a_leak_and_no_peaks() -> None:
    seconds = np.arange(600.0)
    peaks = 100.0 * (seconds % 60 < 10)
    warm = np.where(seconds < 120, seconds, 120.0)
    for leak in (0.0, 36.0):
        sizes = 300 + peaks + warm + leak * seconds / 3600
        assert growth_per_hour(list(zip(seconds, sizes, strict=True))) == pytest.approx(leak, abs=3)


def test_a_twin_has_the_same_files_and_another_id(shop: Shop, tmp_path: Path) -> None:
    before = open_bundle(shop.root)
    twin = write_twin(shop.root, tmp_path / "twin", "twin")
    assert twin != before.bundle_id
    assert twin != write_twin(shop.root, tmp_path / "other", "other")
    assert open_bundle(tmp_path / "twin").content["files"] == before.content["files"]


@pytest.mark.slow
def test_a_small_soak(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = ["--minutes", "0.08", "--swap-seconds", "1.2", "--rate", "20", "--puts", "5"]
    monkeypatch.setattr("sys.argv", ["soak", "--bundle", str(shop.root), *tiny])
    main()
    lines = {line.split(" | ")[0]: line for line in capsys.readouterr().out.splitlines()}
    # Time and memory say nothing in five seconds beside other tests.
    for what in ("searches", "not answered with 200", "wrong answers", "bundles swapped", "items put"):
        assert lines[f"| {what}"].endswith("| ok |"), lines[f"| {what}"]
    assert "inf" not in lines["| freshness lag, P50 / P99 / most"]
