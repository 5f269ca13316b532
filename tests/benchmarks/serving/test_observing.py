"""The table has both services, and windows were written."""

import pytest

from benchmarks.serving.observing import main
from tests.monitoring.watched_bundle import write_watched


@pytest.mark.slow
def test_a_tiny_run(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_watched(tmp_path / "bundle", images=200)
    tiny = ["--rounds", "1", "--seconds", "0.3", "--users", "2"]
    monkeypatch.setattr("sys.argv", ["observing", "--bundle", str(bundle.root), *tiny])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].endswith(" windows were written")
    without, observed = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[-3:-1])
    assert (without[0], observed[0]) == ("without", "with --drift")
    assert without[-1] == observed[-1] == "0"
    assert float(without[1]) > 0 < float(observed[1])
