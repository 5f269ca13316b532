"""Every contestant answers the load, and the table has a line for each."""

import importlib.util

import pytest

from benchmarks.serving.contestants import CONTESTANTS
from benchmarks.serving.throughput import main
from tests.search.small_bundle import Shop


@pytest.mark.slow
def test_a_tiny_run_of_all(shop: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name in CONTESTANTS if name != "LitServe" or importlib.util.find_spec("litserve")]
    tiny = ["--rounds", "1", "--seconds", "0.3", "--users", "2"]
    monkeypatch.setattr("sys.argv", ["throughput", "--bundle", str(shop.root), *tiny, "--only", *names])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith("limit, ") for line in lines) == 5
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[-len(names) :]]
    assert [line[0] for line in table] == names
    for _, rate, share, p50, p99, cpu, memory, errors, own in table:
        assert errors == "0"
        assert float(rate) > 0
        assert share.endswith(" %")
        assert float(p50) <= float(p99)
        assert min(float(cpu), float(memory), float(own)) >= 0
