"""Groups hold what their first image looks like; chains are divided and reported."""

import networkx
import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from src.catalog.duplicates.groups import group_duplicates


def pairs_of(*pairs: tuple[str, str]) -> pa.Table:
    first, second = zip(*pairs, strict=True) if pairs else ((), ())
    return pa.table({"image_id": pa.array(first, pa.string()), "other_id": pa.array(second, pa.string())})


def groups_of(members: pa.Table) -> dict[str, str]:
    return dict(zip(members["image_id"].to_pylist(), members["representative_id"].to_pylist(), strict=True))


def test_a_chain_is_divided_and_reported() -> None:
    groups = group_duplicates(pairs_of(("a", "b"), ("b", "c"), ("c", "d"), ("x", "y")))
    assert groups_of(groups.members) == {"a": "a", "b": "a", "c": "c", "d": "c", "x": "x", "y": "x"}
    assert (groups.components, groups.divided, groups.largest, groups.furthest) == (2, 1, 4, 3)
    assert groups.members["component_id"].to_pylist() == ["a"] * 4 + ["x"] * 2


def test_the_order_says_who_represents() -> None:
    groups = group_duplicates(pairs_of(("a", "b"), ("a", "c")), pa.array(["c", "b"]))
    # Of `b` and `c`, which are no pair, each is older than `a`.
    assert groups_of(groups.members) == {"c": "c", "a": "c", "b": "b"}


def test_nothing_is_grouped_without_pairs() -> None:
    groups = group_duplicates(pairs_of())
    assert (groups.members.num_rows, groups.components, groups.largest, groups.furthest) == (0, 0, 0, 0)


@given(seed=st.integers(0, 10_000), images=st.integers(2, 30), edges=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_groups_are_stars_that_cover_all_components(seed: int, images: int, edges: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = {tuple(sorted(rng.choice(images, 2, replace=False).tolist())) for _ in range(edges)}
    pairs = [(f"{a:02d}", f"{b:02d}") for a, b in sorted(drawn)]
    order = [f"{number:02d}" for number in rng.permutation(images)]
    graph = networkx.Graph(pairs)
    groups = group_duplicates(pairs_of(*pairs), pa.array(order))
    found = groups_of(groups.members)
    assert set(found) == set(graph)
    age = {name: place for place, name in enumerate(order)}
    for image, representative in found.items():
        assert found[representative] == representative
        if image != representative:
            assert graph.has_edge(image, representative)
            assert age[representative] < age[image]
        else:  # It would be in the group of an older representative.
            assert not [near for near in graph[image] if found[near] == near and age[near] < age[image]]
    components = list(networkx.connected_components(graph))
    assert groups.components == len(components)
    assert groups.largest == max(map(len, components))
    firsts = [min(component, key=age.__getitem__) for component in components]
    steps = [max(networkx.single_source_shortest_path_length(graph, first).values()) for first in firsts]
    assert groups.furthest == max(steps)
    by_component = dict(
        zip(groups.members["image_id"].to_pylist(), groups.members["component_id"].to_pylist(), strict=True)
    )
    assert by_component == {image: first for first, part in zip(firsts, components, strict=True) for image in part}
