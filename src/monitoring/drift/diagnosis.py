"""What an alarm means: whether the encoder or the queries changed, which features, and some queries that show it."""

from dataclasses import dataclass

import numpy as np

from src.contracts.drift_reference import DriftReference
from src.monitoring.drift.comparison import Comparison, Finding
from src.monitoring.drift.window import Window

__all__ = ["Diagnosis", "Example", "Suspect", "diagnose"]

_SHOWN = 6
_OF_THE_QUERIES = ("inputs", "categories")
_OF_THE_EMBEDDINGS = ("dimensions", "components", "rank", "norm", "score")


@dataclass(frozen=True)
class Example:
    """A query; `photo` is a small JPEG file, empty where photos are not kept."""

    request: str
    category: str
    photo: bytes


@dataclass(frozen=True)
class Suspect:
    """A feature with an alarm, and queries in the bin that has most more than it should have."""

    family: str
    finding: Finding
    bin: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Diagnosis:
    """What is said of one window.

    Attributes:
        verdict: in a sentence or two.
        suspects: the strongest first, at most six of a family.
    """

    verdict: str
    suspects: tuple[Suspect, ...]


def diagnose(window: Window, comparison: Comparison, reference: DriftReference) -> Diagnosis:
    """Say what changed, by the canary and by which families have an alarm."""
    suspects = tuple(
        _suspect(family.name, finding, window, reference)
        for family in comparison.families
        for finding in family.alarms[:_SHOWN]
    )
    return Diagnosis(_verdict(window, comparison), suspects)


def _verdict(window: Window, comparison: Comparison) -> str:
    alarms, canary = set(comparison.alarms), window.canary
    if canary is not None and canary.problem:
        return f"The encoder, or what decodes photos for it, has changed: {canary.problem}."
    if not alarms:
        untested = [family.name for family in comparison.families if family.untested]
        every = "Nothing" if len(untested) < len(comparison.families) else "Nothing was tested, and nothing"
        return f"{every} differs from the reference by more than chance."
    if canary is None:
        return (
            "The queries or the encoder have changed: the golden images were not embedded in this window, so that "
            "it is not known which."
        )
    cosine = f"golden images: centred cosine {canary.cosine:.5f}"
    encoder = f"The encoder is the exported one ({cosine}): the queries have changed."
    if alarms & set(_OF_THE_QUERIES):
        names = [
            finding.name
            for family in comparison.families
            if family.name in _OF_THE_QUERIES
            for finding in family.alarms
        ]
        return f"{encoder} Look at {', '.join(names)}."
    if alarms & set(_OF_THE_EMBEDDINGS):
        return (
            f"{encoder} Neither sizes, brightness nor the mix of categories explain it: look at the examples, and at "
            "what converts photos before they are sent (colour order, compression, cropping)."
        )
    return f"{encoder} The change is within categories: {', '.join(sorted(alarms))}."


def _suspect(family: str, finding: Finding, window: Window, reference: DriftReference) -> Suspect:
    if not finding.shares:
        return Suspect(family, finding, -1, ())
    excess = np.array(finding.shares) - np.array(finding.reference_shares)
    fullest = int(excess.argmax())
    feature, _, category = finding.name.partition(" in ")
    examples = window.examples
    if feature in reference.names:
        chosen = examples.bins[:, reference.names.index(feature)] == fullest
    else:
        chosen = reference.category_numbers(examples.categories) == fullest
    if category:
        chosen &= np.array(examples.categories) == category
    rows = np.flatnonzero(chosen)[:_SHOWN]
    return Suspect(
        family, finding, fullest,
        tuple(Example(examples.ids[row], examples.categories[row], examples.photos[row]) for row in rows),
    )  # fmt: skip
