"""A weighted sum of objectives."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor, nn

from src.datamodules.training_set import Facts
from src.losses.objective import Objective

__all__ = ["WeightedSum"]


class WeightedSum(nn.Module):
    """The weighted sum of named objectives.

    Attributes:
        parts: each objective's own value in the last batch, by name, unweighted and without a gradient.
    """

    def __init__(self, terms: Mapping[str, tuple[Objective, float]]) -> None:
        """Set the objectives and their weights, by name."""
        super().__init__()
        self.terms = nn.ModuleDict({name: objective for name, (objective, _) in terms.items()})
        self._weights = {name: weight for name, (_, weight) in terms.items()}
        self.parts: dict[str, Tensor] = {}

    def forward(self, embeddings: Float[Tensor, "batch dim"], facts: Facts) -> Float[Tensor, ""]:
        """The sum for a batch; see `Objective`."""
        values = {name: term(embeddings, facts) for name, term in self.terms.items()}
        self.parts = {name: value.detach() for name, value in values.items()}
        return sum((self._weights[name] * value for name, value in values.items()), start=embeddings.new_zeros(()))
