"""Each notebook runs from its first cell to its last, on the built-in shop."""

import json
from pathlib import Path

import jupytext
import nbclient
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory, warm_python: Path) -> Path:
    """A folder of kernels that has one: Python with the packages imported."""
    folder = tmp_path_factory.mktemp("jupyter")
    spec = {"argv": [str(warm_python), "-m", "ipykernel_launcher", "-f", "{connection_file}"], "language": "python"}
    (folder / "kernels" / "warm").mkdir(parents=True)
    (folder / "kernels" / "warm" / "kernel.json").write_text(json.dumps({**spec, "display_name": "Python"}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_notebook_runs(path: Path, kernels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_PATH", str(kernels))
    # What notebooks write goes below the test's own folder.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="warm", resources={"metadata": {"path": str(path.parent)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs, "it showed nothing"
    assert not [output for output in outputs if output.output_type == "error"]
