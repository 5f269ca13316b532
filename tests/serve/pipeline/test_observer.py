"""What a service counts of its queries: beside the searches, in files, in metrics; and that it harms none."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import generate_latest

from serve.metrics import Metrics
from serve.pipeline import observer
from serve.pipeline.batcher import Embedded
from serve.pipeline.observer import Observer
from src.contracts.bundle import open_bundle
from src.contracts.errors import LookalikeError
from src.monitoring.drift.folder import BASELINE, read_windows, write_window
from src.monitoring.drift.recorder import Recorder as Real
from src.search.gallery import Hit
from tests.monitoring.watched_bundle import photo, write_watched
from tests.search.small_bundle import SPEC, Shop
from tests.serve.running import running, until


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return write_watched(tmp_path_factory.mktemp("observed") / "bundle", images=300)


def value(text: str, line: str) -> float:
    return float(next(one.rpartition(" ")[2] for one in text.splitlines() if one.startswith(line + " ")))


def test_a_service_counts_what_is_asked_and_writes_it_at_its_end(watched: Shop, tmp_path: Path) -> None:
    folder = tmp_path / "windows"
    with running(["--bundle", str(watched.root), "--drift", str(folder), "--drift-photos", "true"]) as started:
        for number in range(120):
            headers = {"X-Request-ID": f"asked-{number}"}
            sent = {"image": ("p.jpg", photo(number, brighter=0.4), "image/jpeg")}
            response = started.client.post("/v1/search?k=2", files=sent, headers=headers)
            assert response.status_code == 200
        again = {"image": ("p.jpg", photo(0, brighter=0.4), "image/jpeg")}
        assert started.client.post("/v1/search?k=2", files=again).status_code == 200  # From the cache: not counted.

        def counted() -> bool:
            return value(started.client.get("/metrics").text, 'lookalike_drift_queries_total{outcome="counted"}') == 120

        until(counted)
        code, errors = started.stop()
    assert code == 0, errors
    assert "drift in 120 queries" in errors
    assert "the queries have changed. Look at brightness" in errors
    (window,) = read_windows(folder)
    assert window.images == 120
    assert window.canary is not None
    assert window.canary.problem == ""
    assert set(window.examples.ids) <= {f"asked-{number}" for number in range(120)}
    assert len(set(window.examples.ids)) == 64
    assert all(photo.startswith(b"\xff\xd8") for photo in window.examples.photos)
    assert window.counts.sum(axis=1).min() == 120  # Norms and scores among them.


def test_a_bundle_of_before_is_served_and_says_that_it_is_not_watched(shop: Shop, tmp_path: Path) -> None:
    with running(["--bundle", str(shop.root), "--drift", str(tmp_path)]) as started:
        sent = {"image": ("p.jpg", shop.pictures[0], "image/jpeg")}
        assert started.client.post("/v1/search?k=1", files=sent).status_code == 200
        code, errors = started.stop()
    assert code == 0
    assert "drift is not watched: " in errors
    assert "it has no drift_reference.npz" in errors
    assert list(tmp_path.iterdir()) == []


class Recorder:
    """Keeps what it gets; fails while told to."""

    def __init__(self) -> None:
        self.seen: list = []
        self.fails = False
        self.finished: list[int] = []

    def add(self, seen) -> None:
        if self.fails:
            raise OSError("disk full")
        self.seen += seen

    def finish(self, *, dropped: int):
        self.finished.append(dropped)


def embedded(pixels: bool = True) -> Embedded:
    made = np.zeros((SPEC.size, SPEC.size, 3), np.uint8) if pixels else None
    return Embedded(np.ones(4, np.float32), norm=2.0, pixels=made)


def exposed(metrics: Metrics) -> str:
    return generate_latest(metrics._registry).decode()


def test_a_full_queue_drops_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "_QUEUE", 3)
    metrics, recorder = Metrics(), Recorder()
    made = Observer(recorder, seconds=3600, metrics=metrics)
    best = Hit(0.5, {"category": "bags"})
    for number in range(5):
        made.see(embedded(), photo(number), best, f"r{number}")
    made.see(embedded(pixels=False), photo(9), best, "cached")
    made.close()
    assert [one.request_id for one in recorder.seen] == ["r0", "r1", "r2"]
    assert recorder.finished == [2]
    assert value(exposed(metrics), 'lookalike_drift_queries_total{outcome="dropped"}') == 2
    one = recorder.seen[0]
    assert (one.norm, one.score, one.category) == (2.0, 0.5, "bags")
    assert one.pixels.shape == (8, 8, 3)
    assert one.size in ((96, 64), (64, 96))


def test_scores_that_filters_decide_are_left_out() -> None:
    recorder = Recorder()
    made = Observer(recorder, seconds=3600, metrics=Metrics())
    made.see(embedded(), photo(0), None, "")
    made.close()
    assert np.isnan(recorder.seen[0].score)
    assert recorder.seen[0].category is None


def test_what_fails_is_counted_and_the_thread_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    metrics, recorder = Metrics(), Recorder()
    recorder.fails = True
    made = Observer(recorder, seconds=3600, metrics=metrics)
    made.see(embedded(), photo(0), None, "lost")
    until(lambda: value(exposed(metrics), 'lookalike_drift_windows_total{result="failed"}') == 1)
    recorder.fails = False
    made.see(embedded(), photo(1), None, "kept")
    made.close()
    assert [one.request_id for one in recorder.seen] == ["kept"]
    assert "searches go on" in caplog.text


def test_a_baseline_of_another_bundle_is_refused_at_the_start(watched: Shop, tmp_path: Path) -> None:
    bundle, encoder = open_bundle(watched.root), SimpleNamespace(description="none")
    empty = Real(bundle, encoder, tmp_path, seconds=60)._window
    empty.reference_id = "another"
    path = write_window(tmp_path, empty)
    path.rename(tmp_path / BASELINE)
    with pytest.raises(LookalikeError, match="give windows of it"):
        Real(bundle, encoder, tmp_path, seconds=60)


def test_a_service_that_watches_nothing_imports_none_of_it(repository: Path) -> None:
    code = "import json, sys, serve.app; print(json.dumps([name for name in sys.modules if 'datasketches' in name]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []
