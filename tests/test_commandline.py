"""Exit codes: 2 with one message for what the user can mend, 1 with a traceback for our bugs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

SCRIPT = """
import errno, os, sys
from src.commandline import command
from src.contracts.errors import GateError
from src.contracts.settings import {schema}

@command({schema}, {name!r}, completed_later={later!r})
def main(settings):
    {body}

sys.path.insert(0, os.getcwd())
main()
"""


def run_body(
    tmp_path: Path,
    warm_python: Path,
    body: str,
    *overrides: str,
    name: str = "evaluate",
    schema: str = "EvaluateSettings",
) -> subprocess.CompletedProcess[str]:
    """Run a command line of ours with another body, which starts quickly."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(schema=schema, name=name, body=body, later=None if name == "train" else "data"))
    return subprocess.run(
        [warm_python, str(script), *overrides],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_one_message(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("error: ") == 1
    assert "Traceback" not in done.stderr + done.stdout
    for part in parts:
        assert part in done.stderr


GOOD = ("checkpoint=x.ckpt", "output=out")


def test_a_body_that_returns_exits_with_0(tmp_path: Path, warm_python: Path) -> None:
    done = run_body(tmp_path, warm_python, "print(settings.checkpoint, settings.data.reader)", *GOOD)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "x.ckpt ???", "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise GateError('recall is 0.5, the limit is 0.9')", "recall is 0.5"),
        ("raise OSError(errno.ENOSPC, 'No space left on device', 'bundle')", "No space left on device: 'bundle'"),
        ("raise PermissionError(errno.EACCES, 'Permission denied', 'bundle')", "Permission denied: 'bundle'"),
        (
            "raise FileExistsError(errno.EEXIST, 'File exists', 'out')",
            "File exists: 'out': it is a file where a folder",
        ),
        ("raise NotADirectoryError(errno.ENOTDIR, 'Not a directory', 'a/b')", "a part of the path is a file"),
        ("open('x' * 300)", "choose a shorter name"),
        ("open('.', 'w')", "it is a folder where a file is needed"),
        ("raise RuntimeError('cannot write: No space left on device (os error 28)')", "free some space"),  # safetensors
        ("import sqlite3; raise sqlite3.OperationalError('database or disk is full')", "free some space"),
        ("import hydra; hydra.utils.instantiate({'_target_': 'json.Nothing'})", "json.Nothing"),
    ],
)
def test_what_the_user_can_mend_exits_with_2(tmp_path: Path, warm_python: Path, body: str, message: str) -> None:
    assert_one_message(run_body(tmp_path, warm_python, body, *GOOD), message)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}['bug']", "KeyError: 'bug'"),
        ("raise OSError(errno.EIO, 'Input/output error')", "Input/output error"),
        ("raise ValueError('not one of ours')", "ValueError: not one of ours"),
    ],
)
def test_our_bugs_exit_with_1_and_a_traceback(tmp_path: Path, warm_python: Path, body: str, message: str) -> None:
    done = run_body(tmp_path, warm_python, body, *GOOD)
    assert done.returncode == 1
    assert "Traceback (most recent call last)" in done.stderr
    assert message in done.stderr


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (("checkpont=x", "output=out"), ("`checkpont`: there is no such setting; did you mean checkpoint?",)),
        (("+checkpont=x", "output=out"), ("`checkpont`: there is no such setting; did you mean checkpoint?",)),
        (("checkpoint=x", "output=out", "data.shop.parent=3"), ("`data.shop.parent`", "did you mean parents?")),
        (("checkpoint=x", "output=out", "batch=many"), ("`batch=many`: must be a whole number",)),
        (("checkpoint=x", "output=out", "batch=1.5"), ("`batch=1.5`: must be a whole number",)),
        (("checkpoint=x", "output=out", "confidence=high"), ("`confidence=high`: must be a number",)),
        (("checkpoint=x", "output=out", "report=perhaps"), ("`report=perhaps`: must be true or false",)),
        (("checkpoint=x", "output=out", "model=3"), ("the command line cannot be composed", "Got int")),
        (("checkpoint=x", "output=out", "metrics.recall=[a]"), ("`metrics.recall[0]=a`: must be a whole number",)),
        (("checkpoint=x", "output=out", "data=groceri"), ("`data=groceri`: there is no", "did you mean grocery?")),
        (("checkpoint=x", "output=out", "split=[a"), ("`split=[a`: not of the form KEY=VALUE", "in quotes")),
        (("checkpoint=x", "output=out", "data=nothing"), ("`data=nothing`: there is no such choice", "grocery")),
        (("checkpoint=x",), ("output",)),
        (("checkpoint=x", "baseline=hog", "output=out", "level=sku"), ("exactly one", "`baseline=hog`", "`level=sku`")),
        (("checkpoint=x", "output=out", "=bad"), ("=bad",)),
    ],
)
def test_a_config_that_cannot_work_exits_with_2(
    tmp_path: Path, warm_python: Path, overrides: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    assert_one_message(run_body(tmp_path, warm_python, "pass", *overrides), *parts)


@pytest.mark.parametrize("output", ["file", "file/inside", "x" * 300])
def test_an_output_that_cannot_be_made_is_known_at_once(tmp_path: Path, warm_python: Path, output: str) -> None:
    (tmp_path / "file").write_text("")
    for setting in ("output", "hydra.run.dir"):
        name, schema = ("evaluate", "EvaluateSettings") if setting == "output" else ("train", "TrainSettings")
        given = ("checkpoint=x",) if name == "evaluate" else ("data=shop",)
        done = run_body(tmp_path, warm_python, "pass", *given, f"{setting}={output}", name=name, schema=schema)
        assert_one_message(done, output)


def test_one_image_an_item_exits_with_2(tmp_path: Path, warm_python: Path) -> None:
    overrides = ("data=shop", "data.k=1", f"hydra.run.dir={tmp_path / 'run'}")
    done = run_body(tmp_path, warm_python, "pass", *overrides, name="train", schema="TrainSettings")
    assert_one_message(done, "`data.k=1`: TripletMarginLoss needs at least 2 images per item; set `data.k=4`")


@pytest.mark.slow
def test_a_batch_larger_than_the_data_stops_train_py(
    tmp_path: Path, repository: Path, warm_python: Path, folder_catalogue
) -> None:
    root = folder_catalogue(tmp_path / "shop", items=12, images=2)
    overrides = ["data=folder", f"data.root={root}", "model=resnet10_small", "data.p=16", "data.val_fraction=0.3"]
    done = subprocess.run(
        [
            warm_python,
            "train.py",
            *overrides,
            f"data.cache={tmp_path / 'cache'}",
            f"hydra.run.dir={tmp_path / 'run'}",
        ],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_message(done, "`data.p=16` x `data.k=4`: a batch of 64 images is larger than the data")
    # Nothing was decoded for it.
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("script", ["evaluate.py", "export.py"])
def test_a_checkpoint_that_is_not_there_is_named(
    tmp_path: Path, repository: Path, warm_python: Path, script: str
) -> None:
    done = subprocess.run(
        [warm_python, script, f"checkpoint={tmp_path / 'x.ckpt'}", f"output={tmp_path / 'out'}"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_message(done, f"`checkpoint={tmp_path / 'x.ckpt'}`: no such file")


def test_a_secret_is_refused_before_it_is_written_down(tmp_path: Path, warm_python: Path) -> None:
    done = run_body(tmp_path, warm_python, "print(1)", *GOOD, "+logger.mlflow.tracking_uri=http://u:hunter2@host/")
    assert_one_message(done, "logger.mlflow.tracking_uri", "in the environment")
    assert not [path for path in tmp_path.rglob("*.yaml") if "hunter2" in path.read_text()]


def test_help_of_train_needs_no_override_and_lists_every_group(tmp_path: Path, repository: Path) -> None:
    for group, name in (("loss", "own"), ("extra/deep", "one")):
        (tmp_path / group).mkdir(parents=True)
        (tmp_path / group / f"{name}.yaml").write_text("{}")
    done = subprocess.run(
        [sys.executable, "train.py", "--help", "--config-dir", str(tmp_path)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(line.split(": ") for line in done.stdout.split("== Config ==")[0].splitlines() if ": " in line)
    ours = {str(file.parent.relative_to(repository / "conf")) for file in (repository / "conf").rglob("*/*.yaml")}
    assert {*listed} == {*ours, "extra/deep"}
    for group, names in listed.items():
        files = [*(repository / "conf" / group).glob("*.yaml"), *(tmp_path / group).glob("*.yaml")]
        assert names.split(", ") == sorted(file.stem for file in files), group
    assert "sampler: category" in done.stdout
    assert "layer_decay" in done.stdout


def test_help_is_quick(repository: Path) -> None:
    # A started process's own CPU time, which waits for no other test; the least of a few, because caches are shared.
    imports = _cpu_seconds(repository, "-c", "import hydra, omegaconf")
    for script in ("train.py", "evaluate.py", "export.py"):
        taken = (_cpu_seconds(repository, script, "--help") for _ in range(4))
        assert any(seconds <= 8 * imports for seconds in taken), script


def _cpu_seconds(repository: Path, *arguments: str) -> float:
    command = [sys.executable, *arguments]
    process = subprocess.Popen(command, cwd=repository, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime
