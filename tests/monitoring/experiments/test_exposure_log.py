import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from src.contracts.errors import TableError
from src.monitoring.experiments.exposure_log import EXPOSURES, Exposure, ExposureLog, read_exposures

START = datetime(2026, 9, 1, tzinfo=UTC)


def exposure(number: int, *, exposure_id: str | None = None) -> Exposure:
    name = exposure_id or f"E{number}"
    return Exposure(name, START + timedelta(seconds=number), "e", f"U{number}", "control", 0.5)


def test_what_is_written_is_read_by_time_and_replays_count_once(tmp_path: Path) -> None:
    with closing(ExposureLog(tmp_path)) as one, closing(ExposureLog(tmp_path)) as two:
        assert two.append(exposure(2))
        assert one.append(exposure(1))
        assert two.append(exposure(7, exposure_id="E2"))
        assert one.append(exposure(3))
    found = read_exposures(tmp_path)
    assert found.schema == EXPOSURES
    assert found["exposure_id"].to_pylist() == ["E1", "E2", "E3"]
    assert found["exposed_at"].to_pylist()[0] == START + timedelta(seconds=1)
    assert read_exposures(tmp_path / "none").num_rows == 0


def test_many_threads_lose_nothing_and_files_are_rolled(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path, file_bytes=2000)

    def work(first: int) -> None:
        for number in range(first, first + 50):
            log.append(exposure(number))

    threads = [Thread(target=work, args=(first,)) for first in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert read_exposures(tmp_path).num_rows == 400
    assert log.dropped == 0
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 10
    assert max(sizes) <= 2000


def test_the_folder_is_bounded_and_what_is_dropped_is_counted(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path, most_bytes=1000, file_bytes=300)
    taken = [log.append(exposure(number)) for number in range(50)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 1000
    assert log.dropped == 50 - sum(taken) > 30
    assert read_exposures(tmp_path).num_rows == sum(taken) > 2
    for path in tmp_path.iterdir():
        path.unlink()
    assert log.append(exposure(99))
    log.close()


def test_a_folder_that_vanished_drops_and_does_not_raise(tmp_path: Path) -> None:
    log = ExposureLog(tmp_path / "x")
    (tmp_path / "x").rmdir()
    assert not log.append(exposure(1))
    assert log.dropped == 1


def test_a_killed_writer_leaves_whole_lines(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from src.monitoring.experiments.exposure_log import *\n"
        f"log = ExposureLog(Path({str(tmp_path)!r})); n = 0\n"
        "while True:\n"
        "    log.append(Exposure(f'E{n}', datetime.now(UTC), 'e', f'U{n}', 'a', .5)); n += 1\n"
        "    n == 500 and print('ready', flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert read_exposures(tmp_path).num_rows >= 500


def test_a_torn_end_is_left_out_and_a_bad_line_is_named(tmp_path: Path) -> None:
    with closing(ExposureLog(tmp_path)) as log:
        log.append(exposure(1))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes() + b'{"exposure_id": "E')
    assert read_exposures(tmp_path).num_rows == 1
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(TableError, match="line 2: is no exposure"):
        read_exposures(tmp_path)
