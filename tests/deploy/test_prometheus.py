"""Prometheus's own tool reads the rules, and plays them."""

import shutil
import subprocess

import pytest

from tests.deploy.files import DEPLOY, documents, metrics_in, unknown_in

FOLDER = DEPLOY / "prometheus"
RULES = documents(FOLDER / "alerts.yml")[0]["groups"][0]["rules"]


needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


def promtool(*arguments: str) -> str:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_promtool
def test_configuration_and_rules_are_valid() -> None:
    assert f"{len(RULES)} rules found" in promtool("check", "config", "--lint-fatal", "prometheus.yml") + promtool(
        "check", "rules", "--lint-fatal", "alerts.yml"
    )


@needs_promtool
def test_each_alert_rises_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "alerts_test.yml")
    played = documents(FOLDER / "alerts_test.yml")[0]["tests"]
    expected = [alert for one in played for alert in one["alert_rule_test"]]
    names = {rule["alert"] for rule in RULES}
    assert {alert["alertname"] for alert in expected if alert.get("exp_alerts")} == names
    assert {alert["alertname"] for alert in expected if not alert.get("exp_alerts")} == names


def test_alerts_ask_for_metrics_that_there_are_and_say_what_to_do(exposed: dict[str, set[str]]) -> None:
    assert metrics_in(RULES[1]["expr"])
    for rule in RULES:
        assert not unknown_in(rule["expr"], exposed), rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "action"}
