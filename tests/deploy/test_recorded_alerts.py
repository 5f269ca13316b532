"""The alerts, played by promtool on series that were recorded from a real service."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.files import DEPLOY
from tests.search.small_bundle import Shop, catalogue, picture, write_bundle
from tests.serve.running import PATIENCE, running

pytestmark = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)

TARGET = {"job": "kubernetes-pods", "instance": "10.0.0.7:8000"}
"""As the discovery by annotations names a target."""
HEALTHY, HANGS = 8, 14
"""Minutes; scrapes are laid one minute apart, however quickly they were taken."""


class Recording:
    """Scrapes of one service, a minute apart in the rules' time."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.scrapes: list[dict[str, float]] = []
        self._photos = count()

    def minute(self) -> list[str]:
        """Three searches by new photos, then a scrape; the rungs that answered."""
        rungs = [self._search() for _ in range(3)]
        series = {}
        for family in text_string_to_metric_families(httpx.get(f"{self.url}/metrics").text):
            for sample in family.samples:
                labels = {**sample.labels, **TARGET}
                shown = ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
                series[f"{sample.name}{{{shown}}}"] = sample.value
        self.scrapes.append(series)
        return rungs

    def _search(self) -> str:
        answer = httpx.post(f"{self.url}/v1/search", files={"image": picture(next(self._photos))}, timeout=PATIENCE)
        assert answer.status_code == 200
        return answer.json()["rung"]

    def input_series(self) -> list[dict[str, str]]:
        names = sorted(set().union(*self.scrapes))
        series = [{"series": name, "values": self._values(name)} for name in names if name.startswith("lookalike_")]
        up = ", ".join(f'{name}="{value}"' for name, value in TARGET.items())
        return [*series, {"series": f"up{{{up}}}", "values": f"1x{len(self.scrapes)}"}]

    def _values(self, name: str) -> str:
        return " ".join("_" if name not in scrape else f"{scrape[name]:g}" for scrape in self.scrapes)


@pytest.fixture(scope="module")
def recording(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    """Healthy minutes; a first exchange of the bundle, which fails; an encoder that hangs; healthy minutes again."""
    folder = tmp_path_factory.mktemp("alerts")
    damaged = write_bundle(folder / "bundles" / "damaged", catalogue(20))
    (damaged.root / "index.faiss").write_bytes(b"no index")
    flag = folder / "flag"
    arguments = ["--bundle", str(shop.root), "--bundles", str(folder / "bundles"), "--deadline-seconds", "1"]
    environment = {"LOOKALIKE_TOKEN": "t", "ENCODER_FAILS_WHILE": str(flag)}
    with running(arguments, environment=environment, module="benchmarks.serving.failing_encoder") as service:
        recorded = Recording(service.url)
        for _ in range(HEALTHY):
            assert recorded.minute() == ["search"] * 3
        refused = httpx.post(
            f"{service.url}/v1/admin/bundle",
            json={"path": "damaged"},
            headers={"Authorization": "Bearer t"},
            timeout=PATIENCE,
        )
        assert refused.status_code == 422
        flag.write_text("hang")
        for _ in range(HANGS):
            assert "search" not in recorded.minute()
        flag.unlink()
        end = time.monotonic() + PATIENCE
        while recorded._search() != "search":
            assert time.monotonic() < end, "the encoder is not called again"
        for _ in range(2 * HEALTHY):
            assert recorded.minute() == ["search"] * 3
        yield recorded


def test_alerts_fire_when_they_should_on_what_the_service_exports(recording: Recording, tmp_path: Path) -> None:
    states = {
        value
        for name in recording.scrapes[0]
        if name.startswith("lookalike_breaker_state") and 'dependency="encoder"' in name
        for value in (scrape[name] for scrape in recording.scrapes)
    }
    assert {0, 2} <= states
    failing = ["LookalikeDependencyFails", "LookalikeFallbacks"]
    expected = {
        HEALTHY - 1: [],
        HEALTHY + 1: ["LookalikeRolloutFailed"],
        HEALTHY + HANGS - 2: [*failing, "LookalikeRolloutFailed"],
        HEALTHY + HANGS + 12: [],
    }
    played = {
        "rule_files": [str(DEPLOY / "prometheus" / "alerts.yml")],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": recording.input_series(),
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing", alertname!="LookalikeSlow"})',
                        "eval_time": f"{minute}m",
                        "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)],
                    }
                    for minute, alerts in expected.items()
                ],
            }
        ],
    }
    file = tmp_path / "recorded.yml"
    file.write_text(yaml.safe_dump(played))
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
