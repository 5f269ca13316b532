"""Settings of what a batch is trained towards: losses, miners, pairs, cross-batch memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from src.contracts.errors import ConfigError
from src.contracts.settings._problems import below
from src.contracts.settings.component import Component, class_name, component_problems
from src.contracts.settings.loss_kind import loss_bases, loss_kind_of

__all__ = ["ObjectiveSettings", "Term", "objective_problems", "terms_of"]

_TERM = ("loss", "miner", "weight")
_LARGEST = 2**31
"""Bytes that one tensor of a loss or miner may take; there are several of its size."""


@dataclass
class ObjectiveSettings:
    """Which pairs of images a loss compares, and what it remembers.

    Attributes:
        pairs: `all`, or `cross_domain`: a user photo meets catalogue images only, and the other way round. An image of
            unknown domain meets all.
        variants: colour variants of one parent are each other's `negative`, or `ignored`: no pair.
        memory: embeddings of earlier batches that a batch is compared with as well; 0 for none.
        memory_start: training steps before the memory is used; until then it is only filled, with embeddings that
            still move fast.
    """

    pairs: str = "all"
    variants: str = "negative"
    memory: int = 0
    memory_start: int = 0


class Term(NamedTuple):
    """One loss of an objective, the miner that chooses its tuples ({} for none), and its share of the sum."""

    loss: Component
    miner: Component
    weight: float


def terms_of(loss: Component, miner: Component) -> dict[str, Term]:
    """The named terms of a sum of losses; a single loss is the term `loss`."""
    if "terms" not in loss:
        return {"loss": Term(loss, miner, 1.0)}
    return {
        name: Term(term.get("loss", {}), term.get("miner") or {}, term.get("weight", 1.0))
        for name, term in loss["terms"].items()
    }


def objective_problems(loss: Component, miner: Component, objective: ObjectiveSettings, *, p: int, k: int) -> list[str]:
    """What cannot work, a line each."""
    problems = below(objective, "objective", {"memory": 0, "memory_start": 0})
    for name, values in (("pairs", ("all", "cross_domain")), ("variants", ("negative", "ignored"))):
        if getattr(objective, name) not in values:
            problems.append(f"`objective.{name}={getattr(objective, name)}`: must be {' or '.join(values)}")
    if objective.memory == 0 < objective.memory_start:
        problems.append(
            f"`objective.memory_start={objective.memory_start}`: there is no memory to wait for; set "
            f"`objective.memory={16 * p * k}`, or leave it out"
        )
    if 0 < objective.memory < p * k:
        problems.append(
            f"`objective.memory={objective.memory}`: holds less than a batch of {p * k} images; set at least "
            f"`objective.memory={p * k}`, or 0 for none"
        )
    if "terms" in loss:
        malformed = _malformed(loss, miner)
        if malformed:
            return problems + malformed
    elif "_target_" not in loss:
        return [*problems, "`loss` names no class; choose one with loss=NAME (see conf/loss)"]
    unknown = component_problems("loss", loss) + component_problems("miner", miner)
    if unknown:
        return problems + unknown
    terms = terms_of(loss, miner)
    try:
        kinds = [loss_kind_of(term.loss) for term in terms.values()]
    except ConfigError as error:
        return [*problems, f"`loss`: {error}"]
    for term in terms.values():
        problems += _term_problems(term, objective, p=p, k=k)
    if all(kind == "proxies" for kind in kinds):
        losses = ", ".join(class_name(term.loss) for term in terms.values())
        problems += [f"`{option}`: {losses} compares images with proxies of items, not with images; leave it out"
                     for option in _chosen(objective)]  # fmt: skip
    return problems


def _malformed(loss: Component, miner: Component) -> list[str]:
    """What is wrong with how a sum of losses is written."""
    problems = [f"`loss.{key}`: a sum of losses has `terms` only" for key in loss if key != "terms"]
    if miner:
        problems.append(f"`miner`: {class_name(miner)} serves no term of a sum, each names its own; set `miner=none`")
    if not loss["terms"]:
        problems.append("`loss.terms`: a sum needs at least one")
    for name, term in (loss["terms"] or {}).items():
        at = f"loss.terms.{name}"
        if not str(name).isidentifier():
            problems.append(f"`{at}`: a term is named by letters, digits and _, since its figures are logged by name")
        if not isinstance(term, Mapping):
            problems.append(f"`{at}={term}`: a term has {', '.join(_TERM)}")
            continue
        problems += [f"`{at}.{key}`: unknown; a term has {', '.join(_TERM)}" for key in term if key not in _TERM]
        if not class_name(term.get("loss") or {}):
            problems.append(
                f"`{at}.loss` names no class; add `- /loss@terms.{name}.loss: NAME` to the defaults of the sum"
            )
        weight = term.get("weight", 1.0)
        if not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            problems.append(f"`{at}.weight={weight}`: must be a number above 0")
    return problems


def _term_problems(term: Term, objective: ObjectiveSettings, *, p: int, k: int) -> list[str]:
    """What one loss cannot do with its miner, the pairs asked for and batches of P x K."""
    name, miner, batch = class_name(term.loss), class_name(term.miner), p * k
    kind, bases = loss_kind_of(term.loss), loss_bases(term.loss)
    problems = []
    if k < 2 and kind != "proxies":
        problems.append(f"`data.k={k}`: {name} needs at least 2 images per item; set `data.k=4`")
    if miner and (kind != "pairs" or "RecallAtKSurrogate" in bases):
        problems.append(f"`miner`: {name} is not made of tuples that {miner} could choose; set `miner=none`")
    if kind == "whole batch":
        problems += [
            f"`{option}`: {name} ranks the whole batch, and nothing else; choose another loss, or leave it out"
            for option in _chosen(objective)
        ]
    if "SmoothAPLoss" in bases and 4 * batch**3 > _LARGEST:
        problems.append(
            f"`data.p={p}` x `data.k={k}`: SmoothAPLoss compares all triples of {batch} images, "
            f"{4 * batch**3 / 1e9:.0f} GB a tensor; lower `data.p` to {int((_LARGEST / 4) ** (1 / 3)) // k}"
        )
    references = batch + objective.memory
    lists_triplets = miner == "TripletMarginMiner" or ("TripletMarginLoss" in bases and not miner)
    if lists_triplets and batch * references**2 > _LARGEST:
        problems.append(
            f"`miner`: {miner or name} lists all triplets of {batch} images with {references}, up to "
            f"{batch * references**2 / 1e9:.0f} GB a tensor; lower `objective.memory` or the batch, or choose "
            "miner=batch_hard"
        )
    ks = term.loss.get("ks", ())
    if "RecallAtKSurrogate" in bases and ks and max(ks) >= references:
        problems.append(
            f"`loss.ks={list(ks)}`: among {references - 1} other images Recall@{max(ks)} is always 1; leave it out"
        )
    return problems


def _chosen(objective: ObjectiveSettings) -> list[str]:
    """The settings that are about pairs of images and are not as they are by default."""
    default = ObjectiveSettings()
    names = ("pairs", "variants", "memory")
    return [
        f"objective.{name}={getattr(objective, name)}"
        for name in names
        if getattr(objective, name) != getattr(default, name)
    ]
