"""A commit is applied to all tables and once, wherever the process that makes it ends."""

from pathlib import Path

import pytest

from src.contracts.settings import DataSettings
from src.pipelines import commits
from tests.pipelines.small_run import rows_of, run, write_encoder_bundle

OF_THE_RUN = ("created_at", "seen_at", "batch_id", "run", "version")
TABLES = ("embeddings", "files", "images", "quarantine")


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder_bundle(tmp_path_factory.mktemp("encoder") / "bundle")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, folder_catalogue, data_settings) -> DataSettings:
    root = folder_catalogue(tmp_path_factory.mktemp("items") / "items", items=12, images=4, side=64)
    return data_settings(root=str(root))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bundle: Path, data: DataSettings) -> dict[str, list[dict]]:
    output = tmp_path_factory.mktemp("whole") / "out"
    run(bundle, output, data)
    return everything(output)


def everything(output: Path) -> dict[str, list[dict]]:
    return {table: rows_of(output, table, without=OF_THE_RUN) for table in TABLES}


@pytest.mark.parametrize(
    "where", ["_create", "first _add", "second _add", "append_embeddings", "after append", "rm_file"]
)
def test_a_run_that_is_killed_in_a_commit_goes_on(
    where: str, tmp_path: Path, bundle: Path, data: DataSettings, whole, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def dies(real, *, at: int = 1, before: bool = True):
        def replaced(*arguments, **named):
            calls.append(where)
            if len(calls) == at and before:
                raise Killed
            result = real(*arguments, **named)
            if len(calls) == at:
                raise Killed
            return result

        return replaced

    with monkeypatch.context() as patch:
        if where == "_create":
            create = commits.Commits._create

            def half_written(self, path: str, content: bytes) -> None:
                create(self, path, content[: len(content) // 2])
                raise Killed

            patch.setattr(commits.Commits, "_create", half_written)
        elif where.endswith("_add"):
            patch.setattr(commits.Commits, "_add", dies(commits.Commits._add, at=1 if "first" in where else 2))
        elif where == "rm_file":
            real = commits.LocalFileSystem.rm_file
            patch.setattr(commits.LocalFileSystem, "rm_file", dies(real, at=2))
        else:
            real = commits.append_embeddings
            patch.setattr(commits, "append_embeddings", dies(real, before=where == "append_embeddings"))
        with pytest.raises(Killed):
            run(bundle, tmp_path / "out", data)
    run(bundle, tmp_path / "out", data)
    assert everything(tmp_path / "out") == whole
    assert run(bundle, tmp_path / "out", data).done == {"unchanged": 48}
    assert not list((tmp_path / "out/_work").glob("commit-*"))
