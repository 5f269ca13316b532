"""The overload's steps on a small service."""

from benchmarks.serving.checks import Check, as_table, at_most, failed
from benchmarks.serving.contestants import ours
from benchmarks.serving.load import run
from benchmarks.serving.overload import overload
from benchmarks.serving.photos import photo_requests
from tests.search.small_bundle import Shop


def test_a_figure_over_its_limit_and_one_that_is_none_fail() -> None:
    good = at_most("a", 1.0, 1.0, "ms")
    assert not failed([good])
    assert failed([good, at_most("b", 1.1, 1.0, "ms")])
    assert failed([at_most("c", float("nan"), 1.0, "ms")])
    assert as_table([Check("d", "x", "y", False)]).splitlines()[-1] == "| d | x | y | **FAILED** |"


def test_what_is_too_much_is_refused_and_nothing_else_happens(shop: Shop) -> None:
    build = photo_requests(shop.pictures)
    with ours(shop.root, "--max-in-flight", "2") as server:
        found = {
            check.what: check
            for check in run(overload(server, build, seconds=0.5, times=5, users=2, batch_wait_ms=5))
        }  # fmt: skip
    # Times say nothing here: the machine is busy with other tests.
    for what in ("capacity, closed loop", "answered 200 / refused 503 / otherwise"):
        assert found[what].holds, found[what]
    assert int(found["answered 200 / refused 503 / otherwise"].found.split(" / ")[1]) > 0
    assert found["refusals say when to come again"].holds
    assert len(found) == 11
