"""What `python -m src.pipelines.batch` does: bring the tables up to date, hold them to the gate, build the bundle."""

import logging
import os
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import numpy as np

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.bundle import Bundle, open_bundle, refuse_foreign
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings import complete_data
from src.export.gallery import Gallery
from src.export.rebuild import copy_encoder, rebuild_bundle
from src.export.runtime import open_encoder
from src.pipelines.commits import Commits
from src.pipelines.embeddings_table import Lineage
from src.pipelines.engines import make_engine
from src.pipelines.gate import check_counts
from src.pipelines.isolation import results_of
from src.pipelines.job import WORK, Job, Result, WrittenFile, joined
from src.pipelines.plan import write_plan
from src.pipelines.progress import progress
from src.pipelines.settings import BatchSettings
from src.pipelines.state import State
from src.pipelines.summary import Summary, last_summary, write_summary

__all__ = ["run_batch"]

log = logging.getLogger(__name__)


Check = Callable[[Catalogue, np.ndarray, np.ndarray], None]


@dataclass(frozen=True)
class _Stages:
    """What the stages did, and how long they took."""

    done: Counter[str]
    seconds: float


def run_batch(settings: BatchSettings, *, check: Check | None = None) -> Summary:
    """Run once, and print where the results are.

    Args:
        settings: checked; the bundle completes `data`.
        check: called with the catalogue, the rows that become searchable and their vectors before a bundle is built of
            them; raises `GateError` where none may be.

    Returns:
        What was done.

    Raises:
        BundleError: `bundle` is none, or `publish` holds something else.
        GateError: rows are lost, too many are in quarantine, or the index misses a limit. The tables stay as they are
            and the bundle in its place is the old one.
    """
    started = time.time()
    bundle = open_bundle(Path(settings.bundle))
    if settings.publish:
        refuse_foreign(Path(settings.publish))
    catalogue = _catalogue(settings, bundle)
    output = settings.output if "://" in settings.output else str(Path(settings.output).resolve())
    commits = Commits(output)
    with tempfile.TemporaryDirectory() as scratch:
        job = _job(settings, bundle, catalogue, output, _encoder(settings, bundle, Path(scratch)))
        wanted = np.zeros(len(catalogue.items), bool)
        wanted[catalogue.gallery_rows(None)] = True
        most = settings.quality.max_items if settings.check_quality else None
        state = State(job, catalogue.items, wanted, most_items=most, drop_copies=settings.duplicates == "keep_oldest")
        job = replace(job, run=max(state.last_run(), last_summary(output)) + 1)
        stages = _run_stages(settings, job, state, commits, bundle)
        state.refresh()
        counts = state.count()
        failure: LookalikeError | None = None
        try:
            check_counts(counts, rows=len(catalogue.items), max_quarantined=settings.max_quarantined)
            if settings.publish:
                _publish(settings, bundle, catalogue, state, Path(scratch), check)
        except LookalikeError as error:
            failure = error
        looked_at = int(wanted.sum())
        summary = Summary(
            run=job.run,
            started_at=datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            seconds=round(time.time() - started, 3),
            engine=settings.engine.name,
            encoder_id=job.encoder_id,
            bundle=settings.publish if failure is None else "",
            rows=len(catalogue.items),
            counts=counts,
            done=dict(sorted(stages.done.items())),
            images_per_second=round(looked_at / max(stages.seconds, 1e-9), 1),
            failure=str(failure or ""),
        )
        written, page = write_summary(output, summary, catalogue, state.quarantined(settings.samples))
    if failure is not None:
        log.info("summary: %s", page)
        raise failure
    print(f"embeddings: {summary.done.get('embedded', 0)} new, {counts.get('out', 0)} images searchable")
    print(f"summary: {written}, {page}")
    if settings.publish:
        print(f"bundle: {settings.publish}\nserve it: make serve BUNDLE={settings.publish}")
    return summary


def _catalogue(settings: BatchSettings, bundle: Bundle) -> Catalogue:
    trained_on = bundle.content.get("config", {}).get("data")
    return open_catalogue(complete_data(settings.data, trained_on, trust=settings.trust), need_files=False)


def _encoder(settings: BatchSettings, bundle: Bundle, scratch: Path) -> Path:
    """The folder of a bundle for workers, which verify all of it: the encoder alone, where they can read this disk."""
    if settings.engine.name == "spark" and not settings.engine.master.startswith("local"):
        return bundle.root.resolve()
    return copy_encoder(bundle, scratch / "encoder").root


def _job(settings: BatchSettings, bundle: Bundle, catalogue: Catalogue, output: str, encoder: Path) -> Job:
    engine, alone = settings.engine, settings.engine.name == "in_process"
    cores = len(os.sched_getaffinity(0))
    return Job(
        output=output,
        root=str(catalogue.root.resolve()),
        encoder=str(encoder),
        encoder_id=str(bundle.content["encoder_id"]),
        dim=int(bundle.content["dim"]),
        preprocessing=bundle.preprocessing.to_dict(),
        # When it began, so that what a killed run leaves can be told from what is in use.
        work=joined(output, WORK, f"{int(time.time())}-{uuid.uuid4().hex[:8]}"),
        run=0,
        created_at=time.time_ns() // 1000,
        rules=asdict(settings.quality) if settings.check_quality else None,
        batch=engine.batch,
        batch_mb=engine.batch_mb,
        keep_pixels=settings.keep_pixels,
        read_threads=engine.read_threads,
        # One process has the whole machine; of several, each has a core.
        decode_threads=cores if alone else 1,
        encoder_threads=0 if alone else 1,
        ahead=2 if alone else 0,
        runtime=settings.runtime,
        attempts=settings.attempts,
    )


def _run_stages(settings: BatchSettings, job: Job, state: State, commits: Commits, bundle: Bundle) -> _Stages:
    tasks = write_plan(state, job, settings.engine.task_rows)
    lineage = Lineage(run_id=f"batch-{job.run}", bundle_id=bundle.bundle_id, source=job.root, source_version=None)
    done: Counter[str] = Counter()
    with ExitStack() as stack:
        engine = stack.enter_context(make_engine(settings.engine))
        advance = stack.enter_context(progress(f"run {job.run}", sum(map(len, tasks))))
        started = time.perf_counter()

        def results() -> Iterator[Result]:
            for result in results_of(engine, job, tasks):
                advance(result.rows)
                done.update(result.counts)
                yield result

        for written in _groups(results(), settings.engine.commit_rows):
            commits.commit(written, lineage)
        seconds = time.perf_counter() - started
    backend, path = fsspec.core.url_to_fs(job.work)
    backend.invalidate_cache()
    if backend.exists(path):
        backend.rm(path, recursive=True)
    return _Stages(done, seconds)


def _groups(results: Iterator[Result], rows: int) -> Iterator[dict[str, list[WrittenFile]]]:
    """Files of results, by table, for one commit each."""
    files: defaultdict[str, list[WrittenFile]] = defaultdict(list)
    count = 0
    for result in results:
        count += result.rows
        for table, file in result.files.items():
            files[table].append(file)
        if count >= rows:
            yield dict(files)
            files.clear()
            count = 0
    if files:
        yield dict(files)


def _publish(
    settings: BatchSettings, bundle: Bundle, catalogue: Catalogue, state: State, scratch: Path, check: Check | None
) -> None:
    rows, vectors = state.vectors(scratch / "vectors.npy")
    if vectors.shape[1] != bundle.content["dim"]:
        raise ConfigError(f"the stored embeddings have {vectors.shape[1]} numbers, the encoder {bundle.content['dim']}")
    if check is not None:
        check(catalogue, rows, vectors)
    rebuild_bundle(
        Path(settings.publish),
        encoder=bundle,
        gallery=Gallery(catalogue, rows, vectors),
        runtime=open_encoder(bundle, runtime=settings.runtime, batch=settings.engine.batch),
        index=settings.index,
        thumbnail=settings.thumbnail,
        batch=settings.engine.batch,
    )
