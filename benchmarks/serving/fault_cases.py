"""The faults, one function each: start a service, load it, break something, and judge the answers."""

import asyncio
import itertools
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from benchmarks.serving.bad_clients import leaving, slow_bodies, slow_heads, slow_readers
from benchmarks.serving.checks import Check
from benchmarks.serving.contestants import ours
from benchmarks.serving.dependencies import postgres, redis
from benchmarks.serving.figures import percentile_ms
from benchmarks.serving.load import Outcome, Target, open_load, run
from benchmarks.serving.photos import Build, photo_requests
from benchmarks.serving.running import Server
from benchmarks.serving.truth import Truth
from src.contracts.bundle import ITEMS_TABLE

__all__ = ["CASES", "Setting"]

_MENDED_AFTER = 2.5
"""Seconds after the mending until which a request may still suffer: breakers probe once a second or so."""

_SLOW = 8
"""Slow clients of each kind: with as many as `--max-in-flight`, slow bodies hold every place until they time out."""

Event = Callable[[], object]


@dataclass(frozen=True)
class Setting:
    """What a case is given.

    Attributes:
        bundle: what is served.
        photos: JPEGs.
        rate: requests a second.
        seconds: of load.
        scratch: folder of its own.
        arguments: of the service.
    """

    bundle: Path
    photos: list[bytes]
    rate: float
    seconds: float
    scratch: Path
    arguments: tuple[str, ...] = ()

    @property
    def build(self) -> Build:
        """The searches."""
        return photo_requests(self.photos)


@dataclass(frozen=True)
class Loaded:
    """What came of a load.

    Attributes:
        outcomes: of each request.
        truth: the right answers.
        events: when each event had happened, on the outcomes' clock.
    """

    outcomes: list[Outcome]
    truth: Truth
    events: list[float]

    def verdict(
        self, what: str, limit: str, *, excused: Callable[[Outcome], bool] | None = None, holds: bool = True,
        more: str = "",
    ) -> Check:  # fmt: skip
        """No answer is wrong and nobody waits for ever; what is not answered, or by a fallback, is excused or fails."""
        statuses = Counter(one.status for one in self.outcomes)
        wrong = sum(map(self.truth.wrong, self.outcomes))
        hung = sum("no answer within" in one.failure for one in self.outcomes)
        fallbacks = sum(map(Truth.fallback, self.outcomes))
        bad = [one for one in self.outcomes if one.status != 200 or Truth.fallback(one)]
        unexcused = [one for one in bad if not (excused and excused(one))]
        good = [one for one in self.outcomes if one.status == 200]
        shown = ", ".join(f"{status or 'lost'} x {count}" for status, count in sorted(statuses.items(), reverse=True))
        judged = f"fallbacks {fallbacks}, wrong {wrong}, hung {hung}, not excused {len(unexcused)}"
        found = f"{shown}; {judged}; P99 {percentile_ms(good, 99):.0f} ms"
        fine = not wrong and not hung and not unexcused and bool(good) and holds
        return Check(what, f"{found}{'; ' if more else ''}{more}", limit, fine)


def _loaded(
    setting: Setting, server: Server, *events: Event, beside: Sequence[Callable[[], Awaitable[object]]] = ()
) -> Loaded:
    """Load a server; the events happen at equal distances, other clients meanwhile."""

    async def all_of_it() -> Loaded:
        async with Target(server.port, setting.build) as target:
            truth = await Truth.ask(target, len(setting.photos))
            others = [asyncio.ensure_future(other()) for other in beside]
            first = 1_000 * len(setting.photos)
            load = asyncio.ensure_future(
                open_load(target, rate=setting.rate, seconds=setting.seconds, first=first)
            )  # fmt: skip
            happened = []
            for event in events:
                await asyncio.sleep(setting.seconds / (len(events) + 1))
                await asyncio.to_thread(event)
                happened.append(time.perf_counter())
            outcomes = await load
            for other in others:
                other.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            return Loaded(outcomes, truth, happened)

    return run(all_of_it())


def redis_killed(setting: Setting) -> Check:
    """The cache goes and comes back."""
    with redis(setting.scratch) as dependency:
        environment = {"LOOKALIKE_REDIS_URL": dependency.url}
        with ours(setting.bundle, *setting.arguments, environment=environment) as server:
            loaded = _loaded(setting, server, dependency.kill, dependency.start)
        with Redis(port=dependency.port) as client:
            kept = int(client.dbsize())
    # It keeps nothing on disk: what it has was written since it is back.
    return loaded.verdict(
        "Redis killed and restarted", "all answered, as before; the cache is written again", holds=kept > 0,
        more=f"{kept} embeddings in Redis after",
    )  # fmt: skip


def postgres_killed(setting: Setting) -> Check:
    """The shop's database goes and comes back."""
    with postgres(setting.scratch) as dependency:
        _write_prices(dependency.url, setting.bundle)
        environment = {"LOOKALIKE_STORE_URL": dependency.url}
        with ours(setting.bundle, *setting.arguments, environment=environment) as server:
            loaded = _loaded(setting, server, dependency.kill, dependency.start)
    _, restarted = loaded.events
    fresh = [_fresh(one) for one in loaded.outcomes if one.due > restarted + _MENDED_AFTER]
    return loaded.verdict(
        "PostgreSQL killed and restarted", "all answered, as before; with current prices again",
        holds=all(fresh) and bool(fresh), more=f"{sum(fresh)} of {len(fresh)} with current prices after",
    )  # fmt: skip


def encoder_raises(setting: Setting) -> Check:
    """Every call of the encoder raises for a third of the time."""
    flag = setting.scratch / "fails"
    with ours(
        setting.bundle, *setting.arguments, module="benchmarks.serving.failing_encoder",
        environment={"ENCODER_FAILS_WHILE": str(flag)},
    ) as server:  # fmt: skip
        loaded = _loaded(setting, server, flag.touch, flag.unlink)
    broken, mended = loaded.events
    return loaded.verdict(
        "encoder raises",
        "meanwhile a labelled fallback or 5xx; all answered before, and from 2.5 s after",
        # A batch that was gathered before may be the first to fail.
        excused=lambda one: (
            (one.status >= 500 or Truth.fallback(one)) and broken - 1 < one.done and one.due < mended + _MENDED_AFTER
        ),
    )


def index_replaced(setting: Setting) -> Check:
    """Another file takes the place of the index under a service that runs."""
    bundle = setting.scratch / "bundle"
    shutil.copytree(setting.bundle, bundle)
    other = setting.scratch / "other"
    other.write_bytes(b"no index" * 1000)
    with ours(bundle, *setting.arguments) as server:
        loaded = _loaded(setting, server, lambda: os.replace(other, bundle / "index.faiss"))
    return loaded.verdict("index file replaced on disk", "all answered, as before")


def clients_leave(setting: Setting) -> Check:
    """Half as many clients again that do not wait for their answers."""
    with ours(setting.bundle, *setting.arguments) as server:
        numbers = itertools.count(1)
        loaded = _loaded(
            setting, server,
            beside=[lambda: leaving(server.port, lambda _: setting.build(next(numbers)), rate=setting.rate / 2,
                                    seconds=setting.seconds)],
        )  # fmt: skip
        left = _in_flight_at_rest(server)
    return loaded.verdict(
        "clients disconnect", "the others are all answered; nothing stays in flight", holds=left == 0,
        more=f"{next(numbers) - 1} left, {left:g} in flight after",
    )  # fmt: skip


def clients_are_slow(setting: Setting) -> Check:
    """Heads and bodies that never end, and answers that nobody reads."""
    with ours(setting.bundle, *setting.arguments) as server:
        kinds = (slow_heads, slow_bodies, slow_readers)
        loaded = _loaded(setting, server, beside=[partial(kind, server.port, _SLOW) for kind in kinds])
        left = _in_flight_at_rest(server)
    return loaded.verdict(
        f"{_SLOW} slow heads, {_SLOW} slow bodies, {_SLOW} that never read",
        "the others are all answered; nothing stays in flight",
        holds=left == 0,
        more=f"{left:g} in flight after",
    )


def told_to_end(setting: Setting) -> Check:
    """SIGTERM at half time."""
    with ours(setting.bundle, *setting.arguments) as server:
        loaded = _loaded(setting, server, lambda: server.process.send_signal(signal.SIGTERM))
        code = server.wait(30)
    (told,) = loaded.events
    return loaded.verdict(
        "SIGTERM",
        "what was sent before is answered; exit code 0",
        # Sent later, a connection is closed or refused.
        excused=lambda one: not one.status and one.sent > told - 0.01,
        holds=code == 0,
        more=f"exit code {code}",
    )


def worker_killed(setting: Setting) -> Check:
    """One of two workers is killed with SIGKILL."""
    with ours(setting.bundle, "--processes", "2", *setting.arguments) as server:
        before = _workers(server)
        loaded = _loaded(setting, server, lambda: os.kill(before[0], signal.SIGKILL))
        after = _workers(server)
    (killed,) = loaded.events
    return loaded.verdict(
        "a worker of two killed",
        "lost is only what it had in hand; two workers again",
        excused=lambda one: not one.status and one.sent < killed + 0.1,
        holds=len(after) == len(before) == 2 and after != before,
        more=f"{len(after)} workers after",
    )


def _write_prices(url: str, bundle: Path) -> None:
    """The shop's table of prices and stock, with all items of a bundle."""
    items = sorted(set(pq.read_table(bundle / ITEMS_TABLE, columns=["item_id"])["item_id"].to_pylist()))
    with psycopg.connect(url, autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE items (item_id text PRIMARY KEY, price double precision, in_stock boolean)")
        cursor.executemany("INSERT INTO items VALUES (%s, 9.5, true)", [(item_id,) for item_id in items])


def _fresh(outcome: Outcome) -> bool:
    return outcome.answer is not None and bool(json.loads(outcome.answer.body).get("fresh"))


def _workers(server: Server) -> list[int]:
    """Children that have the service loaded; Python's own resource tracker is none."""
    children = [pid for pid in server.tree.pids() if pid != server.process.pid]
    commands = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return sorted(pid for pid in children if b"resource_tracker" not in commands[pid])


def _in_flight_at_rest(server: Server) -> float:
    """Searches in flight when nobody asks any more; a moment is given to those that end."""
    left = float("nan")
    for _ in range(50):
        families = text_string_to_metric_families(server.get("/metrics")[1].decode())
        left = next(one.samples[0].value for one in families if one.name == "lookalike_searches_in_flight")
        if left == 0:
            break
        time.sleep(0.1)
    return left


CASES: dict[str, Callable[[Setting], Check]] = {
    "redis": redis_killed,
    "postgres": postgres_killed,
    "encoder": encoder_raises,
    "index": index_replaced,
    "disconnects": clients_leave,
    "slow": clients_are_slow,
    "sigterm": told_to_end,
    "worker": worker_killed,
}
