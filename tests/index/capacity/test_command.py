"""The command from measuring to a plan, small and for real."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from src.contracts.errors import ConfigError
from src.index.capacity.__main__ import run
from src.index.capacity.arguments import parse_arguments
from src.index.capacity.figures import Figures


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("capacity") / "figures.json"
    run(["measure", f"figures={path}", "sizes=1000,3000", "dim=16", "queries=50"])
    return path


def test_measuring_goes_on_where_it_stopped(figures: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Figures.read(figures).measured
    assert [(one.layout, one.rows) for one in before] == [
        ("exact", 1000), ("hnsw_fp16", 1000), ("exact", 3000), ("hnsw_fp16", 3000)
    ]  # fmt: skip
    for one in before:
        assert one.recall_at_10 > 0.9
        assert one.bytes_per_vector == pytest.approx(64 if one.layout == "exact" else 32 + 270, rel=0.1)
        assert list(one.query_seconds) == sorted(one.query_seconds)
        assert one.busy_factor >= 1
    run(["measure", f"figures={figures}", "sizes=1e3,3e3,5e3", "dim=16", "queries=50", "layouts=exact"])
    assert capsys.readouterr().out.count("there already") == 2
    after = Figures.read(figures).measured
    assert after[: len(before)] == before
    assert [(one.layout, one.rows) for one in after[len(before) :]] == [("exact", 5000)]


def test_a_plan_and_a_check_of_the_law_follow_from_the_file(figures: Path) -> None:
    text = run(["items=1e6", "qps=100", "dim=16", "p99_ms=10000", f"figures={figures}"])
    for word in ("machines", "memory", "fan-out", "freshness", "cost", "an extrapolation"):
        assert word in text
    assert run(["plan", "items=1e6", "qps=100", "dim=16", "p99_ms=10000", f"figures={figures}"]) == text
    table = run(["growth", f"figures={figures}", "dim=16", "upto=3000"])
    assert re.search(r"\| exact \| query \| linear \| 2 sizes to 3,000 \| 5,000 \|", table)
    with pytest.raises(ConfigError, match="`upto=10000`"):
        run(["growth", f"figures={figures}", "dim=16", "upto=10000"])


@dataclass(frozen=True)
class Wanted:
    count: int
    rate: float = 1.0
    sizes: tuple[int, ...] = (1,)
    price: float | None = None
    eager: bool = False


def test_arguments_are_read_as_their_fields_say() -> None:
    read = parse_arguments(["count=100e6", "sizes=1e3,2", "price=2.5", "eager=true"], Wanted)
    assert read == Wanted(100_000_000, 1.0, (1000, 2), 2.5, True)
    assert parse_arguments(["count=1", "price=null"], Wanted).price is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["count=1", "cuont=2"], "`cuont=2`: not KEY=VALUE with a key of count, rate"),
        (["count"], "`count`: not KEY=VALUE"),
        (["count=1.5"], "`count=1.5`: no whole number"),
        (["count=1e999"], "`count=1e999`: no whole number"),
        (["count=1", "count=2"], "count is given twice"),
        (["count=1", "rate=nan"], "`rate=nan`: no finite number"),
        (["count=1", "eager=yes"], "`eager=yes`: no true or false"),
        (["count=1", "sizes=1,,2"], "`sizes=1,,2`: no"),
        ([], "not given: count; set each"),
        (["rate=x", "eager=y"], "`rate=x`: .*`eager=y`: "),
    ],
)
def test_wrong_arguments_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_arguments(words, Wanted)


@pytest.mark.parametrize("text", ["", "{}", '{"machine": {}, "measured": [{}]}', '{"machine": {}, "measured": 3}'])
def test_a_file_that_holds_no_figures_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.json").write_text(text)
    with pytest.raises(ConfigError, match="not a file of measured figures"):
        Figures.read(tmp_path / "f.json")


def test_figures_of_another_machine_are_not_added_to(figures: Path, tmp_path: Path) -> None:
    data = json.loads(figures.read_text())
    data["machine"]["cores"] = 77
    (tmp_path / "f.json").write_text(json.dumps(data))
    with pytest.raises(ConfigError, match=r"was measured on .*77.*name another file"):
        run(["measure", f"figures={tmp_path / 'f.json'}", "dim=16"])


def test_the_command_ends_with_2_and_one_line(repository: Path, tmp_path: Path) -> None:
    def ended(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "src.index.capacity", *words]
        return subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)

    done = ended("items=1e6", "qps=10", f"figures={tmp_path / 'none.json'}")
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'none.json'}: no such file; `python -m src.index.capacity measure " \
        f"figures={tmp_path / 'none.json'}` writes it\n"  # fmt: skip
    assert ended("invent").returncode == 2
    told = ended("--help")
    assert told.returncode == 0
    assert "items=" in told.stdout
    assert "cost_per_hour=" in told.stdout
