"""A writer process that is killed at any moment loses nothing acknowledged and brings back nothing deleted."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from src.contracts.errors import BundleError
from src.index.live import LiveIndex, LiveReader, LiveSettings, live_index
from src.index.live.recovery import LogPlace, replay
from tests.index.live import writer_process
from tests.index.live.writer_process import DIM, Change, vector_of

SEED = 20_240_601
Content = dict[str, tuple[str, int]]
"""Item and tag by image; the tag gives the vector."""

pytestmark = pytest.mark.slow


@dataclass
class Account:
    """What the writers were told to do and answered for."""

    content: Content = field(default_factory=dict)
    acknowledged: int = 0
    generations: set[int] = field(default_factory=set)
    in_flight_kept: int = 0
    in_flight_lost: int = 0


def after(content: Content, change: Change) -> Content:
    content = dict(content)
    kind, rows = change
    if kind == "upsert":
        content |= {image: (item, tag) for image, item, tag in rows}
    elif kind == "delete":
        content = {image: value for image, value in content.items() if image not in rows}
    else:
        content = {image: value for image, value in content.items() if value[0] not in rows}
    return content


def create(folder: Path, layout: str) -> None:
    settings = LiveSettings(layout=layout, merge_rows=60, gate_queries=20)
    empty = {"tag": pa.array([], pa.int64())}
    with LiveIndex.create(
        folder, image_ids=[], item_ids=[], vectors=np.empty((0, DIM)), attributes=empty, settings=settings
    ):
        pass


def found_in(index: LiveIndex | LiveReader) -> Content:
    """What searches find, checked against the vectors and the rows."""
    snapshot = index.snapshot()
    query = vector_of(0)[None]
    scores, rows = snapshot.search(query, len(snapshot) + 1)
    rows = rows[rows >= 0]
    assert sorted(rows) == np.flatnonzero(snapshot.alive).tolist()
    table = snapshot.rows.take(pa.array(rows))
    content = {row["image_id"]: (row["item_id"], row["tag"]) for row in table.to_pylist()}
    assert len(content) == len(rows)
    vectors = np.array([vector_of(tag) for _, tag in content.values()]).reshape(-1, DIM)
    np.testing.assert_allclose(scores[0][: len(rows)], vectors @ query[0], atol=2e-3)
    np.testing.assert_array_equal(snapshot.vectors(rows), vectors)
    return content


def kill_one(folder: Path, account: Account, rng: random.Random, how: str, flaw: str | None) -> None:
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    die_at = None if how == "time" else rng.randint(1, 60)
    arguments = (folder, rng.randrange(1 << 30), theirs, die_at, how == "power cut", flaw)
    process = context.Process(target=writer_process.write, args=arguments)
    process.start()
    theirs.close()
    in_flight: Change | None = None
    # The kills by time come a while after a random number of answers, however fast the machine is; those after none
    # may well hit the opening.
    answers = rng.choice([0, rng.randint(1, 30)]) if how == "time" else -1
    while True:
        if answers == 0:
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
        answers -= 1
        try:
            what, change = ours.recv()
        except EOFError:
            break
        if what == "announced":
            in_flight = change
        elif in_flight is not None:
            account.content, in_flight = after(account.content, in_flight), None
            account.acknowledged += 1
    process.join()
    ours.close()
    assert process.exitcode == -9
    seen_by_reader = found_in(LiveReader(folder))
    with LiveIndex.open(folder) as index:
        content = found_in(index)
        account.generations.add(index.snapshot().generation.facts.number)
    assert seen_by_reader == content
    if in_flight is not None and content == after(account.content, in_flight):
        account.in_flight_kept += 1
        account.content = content
    else:
        account.in_flight_lost += in_flight is not None
    assert content == account.content


def kill_many(folder: Path, how: str, layout: str, kills: int, seed: int, flaw: str | None = None) -> Account:
    print(f"{how}, {layout}: {kills} kills, seed {seed}")
    rng = random.Random(seed)
    account = Account()
    create(folder, layout)
    for kill in range(kills):
        try:
            kill_one(folder, account, rng, how, flaw)
        except Exception as error:
            error.add_note(f"at kill {kill} of {how}, seed {seed}")
            raise
    return account


@pytest.fixture(scope="module", autouse=True)
def _imported_once(repository: Path) -> Iterator[None]:
    # pandas: where it is installed pyarrow imports it at first use, for a second, and that in each writer.
    modules = ["pytest", "pandas", "tests.index.live.writer_process"]
    multiprocessing.get_context("forkserver").set_forkserver_preload(modules)
    with pytest.MonkeyPatch.context() as patch:
        # Python 3.11 preloads with a bare sys.path.
        patch.setenv("PYTHONPATH", str(repository))
        yield


@pytest.mark.parametrize("layout", ["exact", "hnsw_fp16"])
@pytest.mark.parametrize("how", ["time", "step", "power cut"])
def test_nothing_acknowledged_is_lost_and_nothing_deleted_comes_back(tmp_path: Path, how: str, layout: str) -> None:
    account = kill_many(tmp_path / "index", how, layout, 40, SEED)
    print(f"{account.acknowledged} acknowledged, {len(account.generations)} generations; of the changes that were")
    print(f"not acknowledged {account.in_flight_kept} were kept and {account.in_flight_lost} lost")
    # The kills met what they were meant to meet.
    assert account.acknowledged > 40
    assert len(account.generations) > 2
    # Kills at random times meet a change in flight as often as the machine pleases; the others are aimed at one.
    assert account.in_flight_kept + account.in_flight_lost > (0 if how == "time" else 10)


@pytest.mark.parametrize(
    ("flaw", "how"),
    [
        ("acknowledges before it writes", "step"),
        ("does not sync", "power cut"),
        ("does not sync folders", "power cut"),
    ],
)
def test_a_writer_with_a_flaw_is_found_out(tmp_path: Path, flaw: str, how: str) -> None:
    with pytest.raises((AssertionError, BundleError)):
        kill_many(tmp_path / "index", how, "exact", 40, SEED, flaw)


def test_a_recovery_that_forgets_the_log_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(folder: Path, state: object, place: LogPlace) -> LogPlace:
        generation = live_index.open_current(folder, verify=False)
        return replay(folder, live_index.LiveState(generation), place)

    monkeypatch.setattr(live_index, "replay", forget)
    with pytest.raises(AssertionError):
        kill_many(tmp_path / "index", "step", "exact", 40, SEED)
