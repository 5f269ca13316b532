"""What sources say of a class, beside what the imported class says."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest
import pytorch_metric_learning.losses
import pytorch_metric_learning.miners
import yaml

from src.contracts.settings.class_source import read_class
from src.contracts.settings.component import component_class, component_problems
from src.contracts.settings.loss_kind import loss_bases, loss_kind, loss_kind_of

ROOT = Path(__file__).parents[3]


def targets(value: object) -> set[str]:
    if isinstance(value, dict):
        return (
            {value["_target_"]}
            if isinstance(value.get("_target_"), str)
            else set().union(*map(targets, value.values()))
        )
    return set().union(*map(targets, value)) if isinstance(value, list) else set()


CONF = set().union(*(targets(yaml.safe_load(path.read_text())) for path in (ROOT / "conf").rglob("*.yaml")))
LIBRARY = {
    f"{module.__name__}.{name}"
    for module in (pytorch_metric_learning.losses, pytorch_metric_learning.miners)
    for name, value in vars(module).items()
    if inspect.isclass(value)
}
OWN = {f"tests.losses.own_losses.{name}" for name in ("OwnProxies", "OwnArcFace")}


def taken(made_by: type) -> set[str] | None:
    """Names that the constructor takes, by inspection; None where it takes any."""
    names: set[str] = set()
    for one in made_by.__mro__:
        if "__init__" in vars(one) and one is not object and one.__module__ != "torch.nn.modules.module":
            parameters = list(inspect.signature(one.__init__).parameters.values())[1:]
            kinds = {parameter.kind for parameter in parameters}
            names |= {one.name for one in parameters if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
            if inspect.Parameter.VAR_KEYWORD not in kinds:
                return names
    return names


@pytest.mark.parametrize("path", sorted(CONF | LIBRARY | OWN))
def test_it_agrees_with_the_imported_class(path):
    source, made_by = read_class(path), component_class({"_target_": path})
    assert source is not None
    if not inspect.isclass(made_by):
        assert source.names == [made_by.__name__]
        assert source.arguments is None or list(source.arguments) == list(inspect.signature(made_by).parameters)
        return
    bases = [one.__name__ for one in made_by.__mro__]
    assert {name.rpartition(".")[2] for name in source.names} <= {*bases, "object"}
    if source.arguments is not None:
        assert set(source.arguments) == taken(made_by)


@pytest.mark.parametrize("path", sorted(path for path in LIBRARY | OWN if ".losses." in path or "own_losses" in path))
def test_the_kind_of_a_loss_follows_from_its_source(path):
    component = {"_target_": path}
    assert loss_kind_of(component) == loss_kind(component_class(component))
    assert path.rpartition(".")[2] in loss_bases(component)


def test_most_of_the_library_can_be_read():
    unread = [path for path in LIBRARY if read_class(path).arguments is None]
    assert len(unread) < 0.2 * len(LIBRARY), unread


MODULE = """
import abc
from dataclasses import dataclass
from torch import nn
import lightning as L
from .other import *
from . import other as renamed

KIND = "proxies"

class Plain:
    def __init__(self, width: int, *, scale=1.0): ...

class Deep(Plain):
    def __init__(self, depth: "int", **rest):
        super().__init__(**rest)

class Uses(Plain):
    def __init__(self, **kwargs):
        self.more = kwargs
        super().__init__(**kwargs)

@dataclass
class Data:
    size: int

class Computed(Plain):
    compares = KIND

class Declared(nn.Module):
    compares = "whole batch"

class Starred(FromOther):
    pass

class Renamed(renamed.FromOther):
    pass

class Unknown(L.no.Such, metaclass=abc.ABCMeta):
    pass

def function(a, b=1): ...
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    (folder / "written").mkdir()
    (folder / "written" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    (folder / "written" / "module.py").write_text(MODULE)
    (folder / "written" / "other.py").write_text("class FromOther:\n    def __init__(self, there): ...\n")
    (folder / "written" / "broken.py").write_text("class Broken(:\n")
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    yield "written.module"
    sys.path.remove(str(folder))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Plain", ["width", "scale"]),
        ("Deep", ["depth", "width", "scale"]),
        ("Uses", None),
        ("Data", None),
        ("Declared", []),
        ("Starred", ["there"]),
        ("Renamed", ["there"]),
        ("Unknown", None),
        ("function", ["a", "b"]),
    ],
)
def test_arguments_are_read_without_importing(package, name, arguments):
    found = read_class(f"{package}.{name}").arguments
    assert (list(found) if found is not None else None) == arguments


def test_what_a_source_cannot_tell_is_left_to_the_import(package):
    assert read_class(f"{package}.Declared").declared["compares"] == "whole batch"
    assert read_class(f"{package}.Computed").declared["compares"] is None
    with pytest.raises(RuntimeError, match="imported"):
        loss_kind_of({"_target_": f"{package}.Computed"})
    assert read_class("math.sqrt") is None
    assert read_class("numpy.random.default_rng") is None


@pytest.mark.parametrize(
    ("component", "message"),
    [
        ({"widht": 1}, "`part.widht`: Plain takes no widht; did you mean width? It takes width, scale"),
        ({"width": "two"}, "`part.width=two`: must be a whole number"),
        ({"width": [3]}, "`part.width=[3]`: must be a whole number"),
        ({"_target_": "written.other.FromOhter"}, "written.other has no FromOhter; did you mean FromOther?"),
        ({"_target_": "written.modul.Plain"}, "No module named 'written.modul'"),
        ({"_target_": "nowhere.Plain"}, "No module named 'nowhere'"),
        ({"_target_": "written.broken.Broken"}, "written.broken cannot be read, line 1"),
        ({"_target_": "Plain"}, "`part._target_=Plain`: names no module"),
        (
            {"width": 1, "inner": [{"_target_": "written.module.Deep", "deep": 1}]},
            "`part.inner.deep`: Deep takes no deep",
        ),
    ],
)
def test_what_is_wrong_is_named(package, component, message):
    problems = component_problems("part", {"_target_": f"{package}.Plain", **component})
    assert message in "\n".join(problems)


def test_what_is_right_passes(package):
    assert component_problems("part", {"_target_": f"{package}.Deep", "depth": 1, "width": 2, "_partial_": True}) == []
    assert component_problems("part", {"_target_": f"{package}.Uses", "anything": 1}) == []
    assert component_problems("part", {}) == []


@pytest.mark.parametrize(
    ("script", "arguments", "code", "expected"),
    [
        ("train.py", ["--help"], 0, "loss: "),
        ("train.py", ["experiment=demo", "hydra.run.dir=OUT", "loss.temprature=0.1"], 2, "did you mean temperature?"),
        (
            "train.py",
            ["experiment=demo", "hydra.run.dir=OUT", "loss=arcface", "miner=batch_hard"],
            2,
            "ArcFaceLoss is not made of tuples",
        ),
        ("evaluate.py", ["--help"], 0, ""),
        ("evaluate.py", ["checkpoint=x", "output=OUT", "level=sku"], 2, "`level=sku`"),
        ("export.py", ["checkpoint=x", "output=OUT", "precision=f8"], 2, "`precision=f8`"),
    ],
)
def test_a_config_is_checked_without_torch(tmp_path, script, arguments, code, expected):
    body = (
        "import atexit, runpy, sys\n"
        "atexit.register(lambda: print('slow:', sorted({'torch', 'lightning', 'timm', 'pandas'} & set(sys.modules))))\n"
        f"sys.argv = {[script, *(argument.replace('OUT', str(tmp_path)) for argument in arguments)]}\n"
        "sys.path.insert(0, '.')\n"
        f"runpy.run_path({script!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", body], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    assert "slow: []" in done.stdout
    assert expected in done.stdout + done.stderr
