"""Windows: merging is adding, files are read back without pickle, memory is bounded."""

import io

import numpy as np
import pytest

from src.contracts.drift_reference import SCALARS
from src.contracts.errors import LookalikeError
from src.monitoring.drift.canary import Canary
from src.monitoring.drift.window import Window

EXACT = ("counts", "category_counts", "slice_counts")
CLOSE = ("along", "products")


def test_parts_merged_are_the_whole(reference, draw) -> None:
    found = draw(np.random.default_rng(0), 900)
    whole = Window.empty(reference)
    whole.add(**found, at=50.0)
    parts = []
    for start in (0, 200, 700):
        end = {0: 200, 200: 700, 700: 900}[start]
        part = Window.empty(reference)
        part.add(**{name: values[start:end] for name, values in found.items()}, at=50.0 + start)
        parts.append(Window.from_bytes(part.to_bytes()))
    merged = Window.from_bytes(parts[2].to_bytes())
    for part in parts[:2]:
        merged.merge(part)
    for name in EXACT:
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
    for name in CLOSE:
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), rtol=1e-5, atol=1e-3)
    assert (merged.images, merged.started, merged.ended) == (900, 50.0, 750.0)
    shares = np.array([0.1, 0.5, 0.9])
    scalars = np.column_stack([found["norms"], found["top_scores"], found["inputs"]])
    for number in range(len(SCALARS)):
        ranks = [(scalars[:, number] <= value).mean() for value in merged.quantiles(number, shares)]
        below = [(scalars[:, number] < value).mean() for value in merged.quantiles(number, shares)]
        assert all(low - 0.03 <= share <= high + 0.03 for low, share, high in zip(below, shares, ranks, strict=True))


def test_counts_are_those_of_a_slow_loop(reference, draw) -> None:
    found = draw(np.random.default_rng(2), 150)
    found["norms"][:7] = np.nan
    window = Window.empty(reference)
    window.add(**found)
    along = (found["embeddings"] - reference.mean) @ reference.axes.T
    scalars = np.column_stack([found["norms"], found["top_scores"], found["inputs"]])
    values = np.concatenate([found["embeddings"], along[:, :16], scalars], axis=1).astype(np.float32)
    for feature, edges in enumerate(reference.edges):
        expected = np.zeros(10, int)
        for value in values[:, feature]:
            if not np.isnan(value):
                expected[sum(value >= edge for edge in edges)] += 1
        np.testing.assert_array_equal(window.counts[feature], expected, err_msg=reference.names[feature])
    boots = [name == "boots" for name in found["categories"]]
    place = list(reference.categories).index("boots")
    assert window.category_counts[place] == sum(boots)
    score = reference.names.index("top_score") - reference.dim
    assert window.slice_counts[place, score].sum() == sum(boots)


def test_examples_are_bounded_and_a_uniform_sample(reference, draw) -> None:
    tally = np.zeros(2)
    for seed in range(60):
        halves = []
        for half in range(2):
            window = Window.empty(reference)
            found = draw(np.random.default_rng(seed), 150)
            window.add(**{**found, "ids": [str(half)] * 150, "photos": [b"jpeg"] * 150})
            halves.append(window)
        halves[0].merge(halves[1])
        assert len(halves[0].examples.ids) == len(halves[0].examples.photos) == 64
        tally += [halves[0].examples.ids.count("0"), halves[0].examples.ids.count("1")]
    assert abs(tally[0] - tally[1]) < 5 * np.sqrt(tally.sum())
    assert len(halves[0].to_bytes()) < 100_000


def test_it_is_read_back_as_it_was(window) -> None:
    made = window(4, 300)
    made.dropped, made.canary = 7, Canary("", 0.9999, float("nan"))
    back = Window.from_bytes(made.to_bytes())
    for name in (*EXACT, *CLOSE):
        np.testing.assert_array_equal(getattr(back, name), getattr(made, name))
    assert (back.images, back.dropped, back.started) == (300, 7, 1004.0)
    assert back.examples.ids == made.examples.ids
    assert back.canary is not None
    assert (back.canary.cosine, back.canary.problem) == (0.9999, "")
    with pytest.raises(LookalikeError, match="do not fit a window of dimension None"):
        back.add(np.zeros((1, 24), np.float32), np.ones(1), np.ones(1), np.ones((1, 5)))


def test_the_worst_canary_is_kept(window) -> None:
    one, two = window(0, 200), window(1, 200)
    one.canary, two.canary = Canary("", 0.99999, 0.0), Canary("it differs", 0.5, 0.0)
    one.merge(two)
    assert one.canary is not None
    assert one.canary.problem == "it differs"


def test_what_is_no_window_is_refused(window) -> None:
    pickled = io.BytesIO()
    np.savez(pickled, head=np.array([{"a": 1}], object), allow_pickle=True)
    for data in (b"", b"no archive", pickled.getvalue(), window(0, 100).to_bytes()[:-400]):
        with pytest.raises(LookalikeError, match="no readable window"):
            Window.from_bytes(data)


def test_windows_of_two_bundles_are_not_added(window) -> None:
    one, two = window(0, 100), window(1, 100)
    two.reference_id = "another"
    with pytest.raises(LookalikeError, match="cannot be added"):
        one.merge(two)
