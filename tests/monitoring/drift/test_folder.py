"""Windows as files: names of their own, a bounded number, periods."""

from pathlib import Path

import pytest

from src.contracts.errors import LookalikeError
from src.monitoring.drift.folder import BASELINE, merged, periods, read_window, read_windows, write_window


def test_windows_are_added_by_period_and_the_baseline_is_none_of_them(window, tmp_path: Path) -> None:
    for seed in (0, 1, 90, 200):
        write_window(tmp_path, window(seed, 50))
    (tmp_path / BASELINE).write_bytes(window(5, 10).to_bytes())
    found = read_windows(tmp_path)
    assert [one.started for one in found] == [1000, 1001, 1090, 1200]
    days = periods(found, 100)
    assert [(one.images, one.started) for one in days] == [(150, 1000), (50, 1200)]
    assert merged(found).images == 200
    assert [one.images for one in found] == [50] * 4


def test_the_oldest_leave(window, tmp_path: Path) -> None:
    for seed in range(5):
        write_window(tmp_path, window(seed, 2), most=3)
    assert [one.started for one in read_windows(tmp_path)] == [1002, 1003, 1004]
    assert {path.suffix for path in tmp_path.iterdir()} == {".window"}


def test_what_is_not_there_or_damaged_is_named(window, tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"no \*\.window file in it"):
        read_windows(tmp_path)
    with pytest.raises(LookalikeError, match=r"absent\.window: cannot be read"):
        read_window(tmp_path / "absent.window")
    path = write_window(tmp_path, window(0, 2))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(LookalikeError, match=f"{path.name}: no readable window"):
        read_windows(tmp_path)
