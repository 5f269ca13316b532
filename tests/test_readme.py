"""What the README tells people to type exists and composes."""

import importlib.util
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from serve.settings import read_settings
from src.commandline import CONF, register_schema, settings_from
from src.contracts.settings import EvaluateSettings, ExportSettings, TrainSettings

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = {"train": TrainSettings, "evaluate": EvaluateSettings, "export": ExportSettings}


def commands(prefix: str) -> list[str]:
    """Indented lines of the README that begin with a command, joined where a backslash continues them."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "README.md").read_text())
    lines = re.findall(rf"^ {{4}}({prefix} .*)$", text, flags=re.MULTILINE)
    # What follows an arrow, a comment or two spaces and words explains the command; brackets hold what may be left out.
    return [re.sub(r"\[[^\]]*\]", "", re.split(r"\s+(?:->|#)\s|\s{3,}(?=[a-z])", line)[0]).strip() for line in lines]


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = {shlex.split(line)[1] for line in commands("make")}
    assert {"demo", "test"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


@pytest.mark.parametrize("line", commands("python") or ["none"])
def test_python_commands_compose(line: str, tmp_path: Path) -> None:
    _, script, *arguments = shlex.split(line)
    if script == "-m":
        assert importlib.util.find_spec(arguments[0])
        if arguments[0] == "serve":
            read_settings(arguments[1:])
        return
    name = Path(script).stem
    assert (ROOT / script).is_file()
    overrides = [
        word.replace("experiment=NAME", "experiment=demo").replace("data=NAME", "data=shop") for word in arguments
    ]
    register_schema(SCHEMAS[name], name)
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        config = compose(name, overrides=[*overrides, f"hydra.runtime.output_dir={tmp_path}"], return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    settings_from(config, SCHEMAS[name], None if name == "train" else "data")
