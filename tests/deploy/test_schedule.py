"""The schedule: manifests that Kubernetes takes, with command lines that compose."""

import shlex
from typing import Any

from src.commandline import composed
from src.contracts.settings import ExportSettings, TrainSettings
from src.pipelines.settings import BatchSettings
from tests.deploy.files import DEPLOY, documents

FOLDER = DEPLOY / "schedule"
(KUSTOMIZATION,) = documents(FOLDER / "kustomization.yaml")
JOBS = {name: documents(FOLDER / name)[0] for name in KUSTOMIZATION["resources"]}
SCHEMAS: dict[str, tuple[type, str, str | None]] = {
    "train.py": (TrainSettings, "train", None),
    "export.py": (ExportSettings, "export", "data"),
    "src.pipelines.batch": (BatchSettings, "batch", "data"),
    "src.pipelines.backfill": (BatchSettings, "batch", "data"),
}


def container(job: dict[str, Any]) -> dict[str, Any]:
    (found,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    return found


def test_each_is_a_job_that_never_runs_twice_at_once() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {*JOBS, "kustomization.yaml"}
    for job in JOBS.values():
        assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
        assert job["spec"]["concurrencyPolicy"] == "Forbid"
        assert len(job["spec"]["schedule"].split()) == 5
        volumes = {one["name"] for one in job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"]}
        assert {one["name"] for one in container(job)["volumeMounts"]} == volumes


def test_its_command_lines_compose() -> None:
    lines = [shlex.join(container(JOBS["embedding.yaml"])["command"])]
    lines += [line for line in container(JOBS["training.yaml"])["command"][-1].splitlines() if "python" in line]
    seen = []
    for line in lines:
        words = [word for word in shlex.split(line)[1:] if word != "-m"]
        schema, name, later = SCHEMAS[words[0]]
        further = ["hydra.runtime.output_dir=unused"] if name == "train" else []
        overrides = [word for word in words[1:] if not word.startswith("hydra.run.")]
        composed(schema, name, *overrides, *further, completed_later=later)
        seen.append(words[0])
    assert seen == ["src.pipelines.batch", "train.py", "export.py", "src.pipelines.backfill"]
