"""Loss terms that penalise the distance of an encoder from the one that training starts from."""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from src.models.encoder import Encoder
from src.models.heads import PCAHead, ResidualHead

__all__ = ["StartPenalty", "relational_distance", "squared_distance"]


def squared_distance(parameters: list[nn.Parameter], start: list[Tensor]) -> Float[Tensor, ""]:
    """Half the squared Euclidean distance of weights from their start (L2-SP; Li et al., ICML 2018, eq. 2)."""
    parts = [(now - then).square().sum() for now, then in zip(parameters, start, strict=True) if now.requires_grad]
    return 0.5 * torch.stack(parts).sum() if parts else torch.zeros(())


def relational_distance(
    embeddings: Float[Tensor, "batch dim"], reference: Float[Tensor, "batch other"]
) -> Float[Tensor, ""]:
    """Difference of the distances within a batch from a reference's (RKD-D; Park et al., CVPR 2019, eq. 5 to 7).

    Euclidean distances divided by their mean, compared by the Huber loss and averaged over pairs of images. The two
    dimensions may differ.
    """
    with torch.autocast(embeddings.device.type, enabled=False):
        first, second = torch.triu_indices(len(embeddings), len(embeddings), 1, device=embeddings.device)

        def relative(vectors: Tensor) -> Tensor:
            distances = torch.linalg.vector_norm(vectors[first] - vectors[second], dim=1)
            return distances / distances.mean().clamp(min=1e-6)

        return F.smooth_l1_loss(relative(embeddings.float()), relative(reference.float()))


class StartPenalty:
    """Penalises changes of the weights, or of the geometry of the embeddings, since the start.

    The start's weights are not part of the trained module: they are in no checkpoint and no optimiser.
    """

    def __init__(self, encoder: Encoder, *, l2_sp: float, relations: float) -> None:
        """Copy what the penalties need of the encoder.

        Args:
            encoder: before its first step; for a resumed run before its checkpoint is loaded.
            l2_sp: weight of `squared_distance` over the backbone's trainable weights.
            relations: weight of `relational_distance` to the start's embeddings: those of the whole encoder where its
                head starts as the backbone's features, else the backbone's features.
        """
        self._l2_sp, self._relations = l2_sp, relations
        self._parameters = list(encoder.backbone.parameters()) if l2_sp else []
        self._start = [parameter.detach().clone() for parameter in self._parameters]
        self._teacher = _teacher(encoder) if relations else None

    def __deepcopy__(self, memo: dict[int, Any]) -> "StartPenalty":
        """Return `self`: a copy of the module for weight averaging needs no second copy of this."""
        return self

    def __call__(
        self, pixels: Num[Tensor, "batch height width 3"], embeddings: Float[Tensor, "batch dim"]
    ) -> dict[str, Tensor]:
        """The weighted terms of a batch, by name, to be added to the loss."""
        terms = {}
        if self._l2_sp:
            self._start = [value.to(embeddings.device) for value in self._start]
            terms["l2_sp"] = self._l2_sp * squared_distance(self._parameters, self._start)
        if self._teacher is not None:
            with torch.no_grad():
                reference = self._teacher.to(embeddings.device)(pixels)
            terms["relations"] = self._relations * relational_distance(embeddings, reference)
        return terms


def _teacher(encoder: Encoder) -> Encoder:
    teacher = copy.deepcopy(encoder)
    if not isinstance(teacher.head, PCAHead | ResidualHead):
        # A head that takes feature maps pools them first.
        teacher.head = getattr(teacher.head, "pool", nn.Identity())
    return teacher.requires_grad_(False).eval()
