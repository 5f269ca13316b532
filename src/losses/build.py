"""Build an objective from its settings."""

from collections.abc import Callable

import torch
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.settings.component import Component, class_name
from src.contracts.settings.loss_kind import loss_kind_of
from src.contracts.settings.objective import terms_of
from src.datamodules.training_set import TrainingSet
from src.losses.cross_batch_memory import CrossBatchMemory
from src.losses.objective import Objective
from src.losses.pairs import PairRule
from src.losses.weighted_sum import WeightedSum

__all__ = ["build_objective", "try_objective"]


def try_objective(loss: Component, miner: Component, *, make: Callable[[Component], nn.Module]) -> None:
    """Make each loss and each miner once, for two items: what they do not accept is an error before data is read.

    The state of torch's random numbers stays as it is.

    Args:
        loss: see `build_objective`, as the others.
        miner: see there.
        make: see there.

    Raises:
        ConfigError: one cannot be made.
    """
    with torch.random.fork_rng(devices=[]):
        for term in terms_of(loss, miner).values():
            sizes = {"num_classes": 2, "embedding_size": 2} if loss_kind_of(term.loss) == "proxies" else {}
            make(sizes | term.loss)
            if term.miner:
                make(term.miner)


def build_objective(
    loss: Component,
    miner: Component,
    *,
    make: Callable[[Component], nn.Module],
    images: TrainingSet,
    dim: int,
    pairs: str = "all",
    variants: str = "negative",
    memory: int = 0,
    memory_start: int = 0,
) -> Objective | WeightedSum:
    """Build what `loss`, `miner` and `objective` of the settings name.

    A loss that learns a proxy of each item gets its `num_classes` and `embedding_size` here.

    Args:
        loss: a loss, or the terms of a sum.
        miner: the miner that chooses its tuples; {} for none.
        make: makes an object from a component's settings.
        images: the training set.
        dim: dimension of the embeddings.
        pairs: see `ObjectiveSettings`, as all that follow.
        variants: see there.
        memory: see there.
        memory_start: see there.

    Raises:
        ConfigError: the config states another number of classes or dimensions, or needs columns that the training set
            does not have.
    """
    terms = terms_of(loss, miner)
    _check_facts([class_name(term.miner) for term in terms.values()], pairs, variants, images)
    rule = PairRule(cross_domain=pairs == "cross_domain", variants=variants == "negative")
    built = {}
    for name, term in terms.items():
        paired = loss_kind_of(term.loss) == "pairs"
        objective = Objective(
            _made(term.loss, make, images.item_count, dim),
            miner=make(term.miner) if term.miner else None,
            rule=rule if paired else None,
            memory=CrossBatchMemory(size=memory, dim=dim, start=memory_start) if memory and paired else None,
        )
        built[name] = objective, float(term.weight)
    return WeightedSum(built) if "terms" in loss else built["loss"][0]


def _made(loss: Component, make: Callable[[Component], nn.Module], classes: int, dim: int) -> nn.Module:
    """Make a loss; one with proxies gets the number of items and the dimension of the embeddings."""
    proxies = loss_kind_of(loss) == "proxies"
    sizes = {"num_classes": classes, "embedding_size": dim} if proxies else {}
    for name, size in sizes.items():
        if loss.get(name, size) != size:
            raise ConfigError(
                f"`loss.{name}={loss[name]}`: the training set and the encoder make it {size}; leave it out"
            )
    return make({**loss, **sizes})


def _check_facts(miners: list[str], pairs: str, variants: str, images: TrainingSet) -> None:
    """Refuse settings that need domains, parents or categories which the training set does not have."""
    if pairs == "cross_domain" and not ((images.domains == 0).any() and (images.domains == 1).any()):
        raise ConfigError(
            "`objective.pairs=cross_domain`: needs training images of both domains, catalogue and user; map them with "
            "`data.domains`, or set `objective.pairs=all`"
        )
    if variants == "ignored" and len(set(images.parents.tolist())) == images.item_count:
        raise ConfigError(
            "`objective.variants=ignored`: no two items of the training set share a parent; map `parent_id` with "
            "`data.columns`, or set `objective.variants=negative`"
        )
    if "CategoryHardMiner" in miners and not (images.categories >= 0).any():
        raise ConfigError(
            "`miner`: CategoryHardMiner needs categories, and the training set has none; map `category` with "
            "`data.columns`, or choose miner=batch_hard"
        )
