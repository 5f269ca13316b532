"""The files of deploy/, read."""

import re
from pathlib import Path
from typing import Any

import yaml

from serve.settings import PREFIX, ServeSettings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SETTINGS = {PREFIX + name.upper() for name in ServeSettings.model_fields}

# Names as Prometheus allows them; what else stands in a query is a function or a label, and none of these begins so.
_METRIC = re.compile(r"\b(?:lookalike|process)_[a-z0-9_]+")


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def metrics_in(expression: str) -> set[str]:
    return set(_METRIC.findall(re.sub(r'"[^"]*"', '""', expression)))


def unknown_in(expression: str, exposed: dict[str, set[str]]) -> list[str]:
    """Metrics that there are not, labels that they have not, and labels that nothing in the expression has."""
    names = metrics_in(expression)
    unknown = sorted(names - exposed.keys())
    for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
        unknown += sorted(f"{name}: {label}" for label in labels - exposed.get(name, {"job"}))
    had = set().union(*(exposed.get(name, set()) for name in names)) | {"job", "instance"}
    for group in re.findall(r"\bby \(([^)]*)\)", expression):
        unknown += sorted(set(re.split(r",\s*", group)) - had)
    return unknown
