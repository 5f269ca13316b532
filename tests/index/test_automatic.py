"""The automatic choice keeps its budgets or says which could be kept."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import src.index.automatic as automatic
from src.contracts.errors import GateError, LookalikeError
from src.contracts.settings import IndexSettings
from src.index.automatic import CANDIDATES, Choice, choose_index
from src.index.layouts import LAYOUTS
from src.index.simulated import Clustered

ROWS, DIM = 4000, 64
FIXED = {
    "layout": "auto",
    "m": 16,
    "ef_construction": 40,
    "nlist": None,
    "ef_search": 64,
    "nprobe": 32,
    "k_factor": 8.0,
}


@pytest.fixture(scope="module")
def content() -> tuple[np.ndarray, np.ndarray]:
    simulated = Clustered(ROWS, DIM)
    return simulated.vectors(), simulated.queries(80)[0]


def choose(
    content: tuple, memory_gb: float | None = None, latency: float | None = None, recall: float = 0.9, **other: object
) -> Choice:
    budgets = {"memory_gb": memory_gb, "max_latency_ms": latency, "min_recall": recall}
    return choose_index(*content, **{**FIXED, **budgets, **other})


def gigabytes(layout: str) -> float:
    return LAYOUTS[layout].bytes_per_vector(ROWS, DIM, m=16) * ROWS / 1e9


def test_the_arguments_are_the_settings() -> None:
    of_milvus = {"backend", "uri", "collection", "kind", "shards"}
    assert {*FIXED, "memory_gb", "max_latency_ms", "min_recall"} == set(IndexSettings.__dataclass_fields__) - of_milvus


def test_without_a_budget_the_number_of_vectors_decides(content: tuple) -> None:
    choice = choose(content)
    assert choice.index.layout == "exact"
    assert choice.reason == "exact: the layout for 4000 vectors where no budget is given"
    named = choose(content, layout="ivf_sq8", nprobe=5)
    assert (named.index.layout, named.index.effort, named.reason) == ("ivf_sq8", {"nprobe": 5}, "ivf_sq8: set")
    assert named.quality.recall_at_10 > 0.5


def test_memory_decides_and_the_first_that_fits_is_taken(content: tuple, tmp_path: Path) -> None:
    assert choose(content, memory_gb=1).index.layout == "exact"
    room = gigabytes("ivf_rabitq_sq8") * 1.01
    choice = choose(content, memory_gb=room)
    fits = [layout for layout in CANDIDATES if gigabytes(layout) <= room]
    assert choice.index.layout == fits[0]
    assert choice.quality.recall_at_10 >= 0.9
    choice.index.save(tmp_path / "index")
    assert (tmp_path / "index").stat().st_size <= room * 1e9
    verdicts = {candidate.layout: candidate.verdict for candidate in choice.candidates}
    assert verdicts["exact"] == f"needs {gigabytes('exact'):.4g} GB"
    assert verdicts[fits[0]] == "chosen"
    assert verdicts[CANDIDATES[-1]] in ("not needed", "chosen")
    assert f"`index.memory_gb={room:g}`" in choice.reason
    json.dumps(choice.to_dict())


def test_the_least_effort_that_finds_enough_is_taken_again_and_again(content: tuple) -> None:
    room = gigabytes("hnsw_sq8") * 1.01
    chosen = [choose(content, memory_gb=room, recall=recall) for recall in (0.8, 0.8, 0.97)]
    assert chosen[0].index.effort == chosen[1].index.effort
    for choice, recall in zip(chosen, (0.8, 0.8, 0.97), strict=True):
        *less, last = next(each for each in choice.candidates if each.verdict == "chosen").points
        assert all(point["recall_at_10"] < recall for point in less)
        assert last["recall_at_10"] == choice.quality.recall_at_10 >= recall
        assert last["effort"] == choice.index.effort


def test_what_is_infeasible_is_refused_with_the_nearest_that_is_not(content: tuple) -> None:
    with pytest.raises(GateError) as caught:
        choose(content, memory_gb=1e-5, latency=1000, recall=0.9)
    message = str(caught.value)
    assert (
        "no layout of 4000 vectors of 64 numbers keeps `index.memory_gb=1e-05`, `index.max_latency_ms=1000`" in message
    )
    for layout in CANDIDATES:
        assert f"  {layout}: needs {gigabytes(layout):.4g} GB" in message
    nearest = re.search(r"`index\.memory_gb=(\S+)` \((\w+)\)", message)
    assert nearest is not None
    # What is offered can be kept.
    offered = choose(content, memory_gb=float(nearest[1]), latency=1000, recall=0.9)
    assert offered.index.layout == nearest[2]


def test_a_latency_that_nothing_keeps_is_refused_with_one_that_would_do(content: tuple) -> None:
    with pytest.raises(GateError, match=r"exact: takes .* ms \(p99\) at that recall") as caught:
        choose(content, latency=1e-6)
    offered = re.search(r"`index\.max_latency_ms=(\S+)` \(", str(caught.value))
    assert offered is not None
    assert 1e-6 < float(offered[1]) < 1000
    assert "memory_gb" not in str(caught.value)


def test_a_recall_that_the_memory_does_not_give_is_refused_with_one_that_it_gives(content: tuple) -> None:
    room = gigabytes("ivf_sq8") * 1.01
    with pytest.raises(GateError, match=r"ivf_sq8: reaches a recall of 0\.\d+ only") as caught:
        choose(content, memory_gb=room, recall=1.0)
    offered = re.search(r"`index\.min_recall=(\S+)` \(", str(caught.value))
    assert offered is not None
    assert choose(content, memory_gb=room, recall=float(offered[1])).quality.recall_at_10 >= float(offered[1])


def test_large_galleries_are_compared_on_a_sample_and_chosen_in_full(
    content: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic, "SAMPLE", 1000)
    choice = choose(content, memory_gb=gigabytes("hnsw_fp16") * 1.01, recall=0.9)
    assert len(choice.index) == ROWS
    chosen = next(candidate for candidate in choice.candidates if candidate.verdict == "chosen")
    assert chosen.vectors == ROWS
    with pytest.raises(GateError, match=r"exact: takes .* expected from 1000 vectors \(time grows linear"):
        choose(content, latency=1e-6)


def test_few_vectors_have_fewer_candidates() -> None:
    vectors = np.eye(20, dtype=np.float32)
    choice = choose((vectors, vectors[:3]), memory_gb=1)
    assert [candidate.layout for candidate in choice.candidates] == ["exact", "hnsw_fp16", "hnsw_sq8"]
    with pytest.raises(LookalikeError, match="needs at least 256"):
        choose((vectors, vectors[:3]), layout="ivf_sq8")
