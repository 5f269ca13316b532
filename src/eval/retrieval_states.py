"""The base class of our torchmetrics: embeddings and ids, accumulated over batches and processes.

They are kept until `compute`, which sorts them by image id and ranks them as evaluate.py does. So the
result depends neither on the batches nor on the number of processes.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat
from torchmetrics.utilities.distributed import gather_all_tensors

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings.evaluate import GRADES
from src.eval.embedded import Embedded
from src.eval.evaluation import measure_queries
from src.eval.metric_names import metrics_at_k
from src.eval.protocol import Protocol
from src.eval.relevance import NULL

__all__ = ["RetrievalStates"]

Ids = Int[Tensor, " batch"] | Sequence[str | None]
"""Integers, equal where ids are; or the ids themselves, which are hashed to 64 bits (BLAKE2b).

Equal ids have equal hashes in every process. Among a million different ids, two share a hash with a probability of
3e-8. None is -1, the code of null. Images are ordered by the hashes of their ids, so that sums may differ from
evaluate.py's in the last bit, and so may grades where an item's images differ in a column (its first image's counts).
"""

_QUERY, _GALLERY = 1, 2


class RetrievalStates(Metric):
    """The states and the ranking of all our metrics; `RetrievalMetric` and its like compute from them.

    Attributes:
        columns: columns that `update` must be given.
        slices: columns of slices that `update` must be given.
        of_batch: whether `forward` measures a batch by itself.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    vectors: list[Tensor]

    def __init__(
        self,
        names: Sequence[str],
        *,
        level: str = "item",
        aggregate: str = "best",
        exclude: str | None = None,
        grades: Mapping[str, int] | None = None,
        gain: str = "exponential",
        slices: tuple[str, ...] = (),
        **kwargs: Any,
    ) -> None:
        """Set what is measured; see `EvaluateSettings` for `level` to `gain`.

        Args:
            names: as in metrics.json.
            level: see there.
            aggregate: see there.
            exclude: see there.
            grades: see there; by default evaluate.py's where a graded metric is named.
            gain: see there.
            slices: columns of slices.
            kwargs: of `torchmetrics.Metric`.

        Raises:
            ConfigError: an unknown name or option.
        """
        super().__init__(**kwargs)
        for name, value, allowed in (
            ("level", level, ("item", "image")),
            ("aggregate", aggregate, ("best", "mean")),
            ("gain", gain, ("exponential", "linear")),
        ):
            if value not in allowed:
                raise ConfigError(f"`{name}={value}`: must be {' or '.join(allowed)}")
        if aggregate == "mean" and (level == "image" or exclude is not None):
            raise ConfigError("`aggregate=mean`: neither with `level=image` nor with `exclude`, as in evaluate.py")
        at_k = metrics_at_k(names)
        if grades is None:
            grades = GRADES if "graded_ndcg" in at_k else {}
        self._protocol = Protocol(
            level=level, aggregate=aggregate, exclude=exclude, metrics=at_k, grades=dict(grades), gain=gain
        )
        self.columns = tuple(sorted({*grades, *([exclude] if exclude else [])} - {"item_id"}))
        self.slices = slices
        self.of_batch = False
        # A state for each column: torchmetrics shares the states of metrics whose states have equal names and values.
        self._integers = ["image_ids", "item_ids", "roles"]
        self._integers += [*(f"column_{name}" for name in self.columns), *(f"slice_{name}" for name in slices)]
        for name in ("vectors", *self._integers):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self,
        vectors: Float[Tensor, "batch dim"],
        item_ids: Ids,
        image_ids: Ids,
        is_query: Bool[Tensor, " batch"] | None = None,
        is_gallery: Bool[Tensor, " batch"] | None = None,
        columns: Mapping[str, Ids] | None = None,
        slices: Mapping[str, Ids] | None = None,
    ) -> None:
        """Keep a batch of images.

        An image that comes several times counts once, in all its roles, with its first embedding: a sampler may repeat
        images to fill the last batch, and query and gallery may come from two loaders.

        Args:
            vectors: embeddings of any floating type and any norm but 0; float32 is kept.
            item_ids: the item of each image.
            image_ids: the image itself, which its own search never finds.
            is_query: whether the image is a query; all are by default.
            is_gallery: whether it can be found; all can by default.
            columns: values of the columns in `self.columns`, -1 or None for null.
            slices: the slice of each image in the columns in `self.slices`, -1 or None for none.

        Raises:
            LookalikeError: arguments of different lengths, another dimension than before, or a missing column.
        """
        everyone = torch.ones(len(vectors), dtype=torch.int64, device=vectors.device)
        flags = [everyone if role is None else role.to(everyone) for role in (is_query, is_gallery)]
        given = {"image_ids": image_ids, "item_ids": item_ids, "roles": _QUERY * flags[0] + _GALLERY * flags[1]}
        for kind, wanted, values in (("column", self.columns, columns), ("slice", self.slices, slices)):
            absent = [name for name in wanted if name not in (values or {})]
            if absent:
                raise LookalikeError(
                    f"`{kind}s`: {type(self).__name__} needs {', '.join(absent)}; give update({kind}s={{NAME: ids}})"
                )
            given |= {f"{kind}_{name}": (values or {})[name] for name in wanted}
        codes = {name: _codes(ids) for name, ids in given.items()}
        if vectors.ndim != 2 or any(len(each) != len(vectors) for each in codes.values()):
            lengths = ", ".join(f"{name} {len(each)}" for name, each in codes.items())
            raise LookalikeError(f"vectors of shape {tuple(vectors.shape)}: a row for each of the images ({lengths})")
        if self.vectors and self.vectors[-1].shape[1] != vectors.shape[1]:
            raise LookalikeError(
                f"vectors of dimension {vectors.shape[1]} after some of {self.vectors[-1].shape[1]}: not of one encoder"
            )
        self.vectors.append(vectors.detach().to(self.device, torch.float32))
        for name in self._integers:
            getattr(self, name).append(codes[name].to(self.device))

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Keep a batch, and measure it by itself: NaN where none of its queries has a positive in it."""
        self.of_batch = True
        try:
            return super().forward(*args, **kwargs)
        finally:
            self.of_batch = False

    def set_dtype(self, dst_type: str | torch.dtype) -> "Metric":
        """Change nothing: ids are int64, and embeddings float32, in which evaluate.py ranks whatever they were."""
        return self

    def measured(self) -> tuple[dict[str, np.ndarray], Embedded, np.ndarray] | None:
        """Rank and measure what was kept.

        Returns:
            Each metric's value for each query, as `measure` gives it; the queries; and the number of their positives,
            int64 of shape (queries,). None in `forward` where the batch has no query with a positive.

        Raises:
            LookalikeError: no images yet, no queries or no gallery, an image of two items, or no cosine.
        """
        if not len(self.vectors):
            raise LookalikeError("no images: call `update` with the embeddings of queries and gallery before `compute`")
        states = {name: dim_zero_cat(getattr(self, name)).cpu() for name in self._integers}
        _, first, each = np.unique(states["image_ids"].numpy(), return_index=True, return_inverse=True)
        items = states["item_ids"].numpy()
        if (items[first][each] != items).any():
            row = int(np.flatnonzero(items[first][each] != items)[0])
            image, other = int(states["image_ids"][row]), items[first][each][row]
            raise LookalikeError(
                f"image {image} came with the items {other} and {items[row]}: image_ids must be unique, since a "
                "query's own image is removed by it"
            )
        roles = np.zeros(len(first), np.int64)
        np.bitwise_or.at(roles, each, states["roles"].numpy())
        columns = {name.removeprefix("column_"): states[name].numpy() for name in self._integers[3:]}
        table = pa.table({name: pa.array(codes, mask=codes == NULL) for name, codes in columns.items()})
        vectors = dim_zero_cat(self.vectors).float().cpu().numpy()
        images = Embedded(vectors, states["image_ids"].numpy(), items, table if columns else None).take(first)
        queries, gallery = (images.take(np.flatnonzero(roles & role)) for role in (_QUERY, _GALLERY))
        if self.of_batch and not (len(queries) and len(gallery)):
            return None
        values, ranking = measure_queries(queries, gallery, self._protocol)
        if self.of_batch and not ranking.positives.any():
            return None
        return values, queries, ranking.positives

    def _sync_dist(self, dist_sync_fn: Callable[..., Any] = gather_all_tensors, process_group: Any = None) -> None:
        """Give a process without images states of the others' shapes and types, which gathering needs."""
        dim = self.vectors[0].shape[1] if self.vectors else 0
        told = dist_sync_fn(torch.tensor([dim], device=self.device), group=process_group or self.process_group)
        dims = {int(each) for each in told} - {0}
        if len(dims) > 1:
            raise LookalikeError(f"vectors of dimensions {sorted(dims)} in different processes: not of one encoder")
        self.vectors = [each.float() for each in self.vectors] or [torch.empty(0, max(dims, default=0)).to(self.device)]
        for name in self._integers:
            if not getattr(self, name):
                setattr(self, name, [torch.empty(0, dtype=torch.int64, device=self.device)])
        super()._sync_dist(dist_sync_fn, process_group)

    def tensor(self, value: float) -> Tensor:
        """A scalar on the metric's device: float64, or int64 for whole numbers."""
        kind = torch.float32 if self.device.type == "mps" else torch.float64  # which MPS lacks
        return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else kind, device=self.device)


def _codes(ids: Ids) -> Tensor:
    """Int64 of shape (batch,)."""
    if isinstance(ids, Tensor):
        if ids.is_floating_point() or ids.is_complex() or ids.ndim != 1:
            raise LookalikeError(f"ids of {ids.dtype} and shape {tuple(ids.shape)}: must be integers, one an image")
        return ids.detach().long()
    return torch.tensor([NULL if each is None else _hash(each) for each in ids], dtype=torch.int64)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(str(text).encode(), digest_size=8).digest(), "little", signed=True)
