"""Low-rank adapters on linear layers (LoRA; Hu et al., 2021, eq. 3), and merging them into the layers' weights."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.contracts.errors import ConfigError

__all__ = ["LoRALinear", "adapter_names", "add_lora", "merge_lora"]


class LoRALinear(nn.Linear):
    """A linear layer of weight W + (alpha / rank) B A, of which A and B are trained. B is zero at the start.

    The names of W and the bias are those of the layer that it takes the place of.

    Attributes:
        lora_a: A, of shape (rank, in_features).
        lora_b: B, of shape (out_features, rank).
    """

    def __init__(self, layer: nn.Linear, *, rank: int, alpha: float) -> None:
        # On the meta device nothing is drawn or allocated for the weight, which is the layer's own.
        super().__init__(layer.in_features, layer.out_features, bias=layer.bias is not None, device="meta")
        self.weight, self.bias = layer.weight, layer.bias
        self.lora_a = nn.Parameter(layer.weight.new_empty(rank, layer.in_features))
        self.lora_b = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))
        # As torch draws a linear layer's weight.
        nn.init.kaiming_uniform_(self.lora_a, a=5**0.5)
        self._scale = alpha / rank

    def forward(self, input: Tensor) -> Tensor:
        """Features of shape (..., in_features) to (..., out_features)."""
        return super().forward(input) + self._scale * F.linear(F.linear(input, self.lora_a), self.lora_b)

    def merged(self) -> nn.Linear:
        """The plain layer of the same function."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        with torch.no_grad():
            change = self._scale * (self.lora_b.double() @ self.lora_a.double())
            layer.weight = nn.Parameter((self.weight.double() + change).to(self.weight.dtype))
        layer.bias = self.bias
        return layer.train(self.training)


def add_lora(backbone: nn.Module, *, rank: int, alpha: float, layers: Sequence[str], size: int) -> None:
    """Give linear layers adapters, in place, and freeze everything else.

    Args:
        backbone: any network.
        rank: of the adapters.
        alpha: their scale times the rank.
        layers: ends of layers' names: `qkv` names each block's, `blocks.11.attn.qkv` one.
        size: side of the pictures that the network takes, in pixels.

    Raises:
        ConfigError: a name that matches no linear layer, or a layer whose weight the network uses without calling the
            layer, where an adapter would have no effect.
    """
    # Subclasses are used by others in ways of their own: torch's attention reads its output layer's weight.
    found = {name: module for name, module in backbone.named_modules() if type(module) is nn.Linear}
    absent = [end for end in layers if not any(_ends(name, end) for name in found)]
    if absent:
        ends = dict.fromkeys(name.rpartition(".")[2] for name in found)
        kinds = ", ".join(f"{end} ({sum(_ends(name, end) for name in found)})" for end in ends) or "none"
        raise ConfigError(
            f"`model.lora.layers={list(layers)}`: {', '.join(absent)} match no linear layer of "
            f"{type(backbone).__name__}; its linear layers are {kinds}"
        )
    backbone.requires_grad_(False)
    for name, layer in found.items():
        if any(_ends(name, end) for end in layers):
            _replace(backbone, name, LoRALinear(layer, rank=rank, alpha=alpha))
    _check_called(backbone, size)


def adapter_names(backbone: nn.Module) -> set[str]:
    """Names of the adapters' parameters; empty for a network without adapters."""
    return {
        f"{name}.{part}"
        for name, module in backbone.named_modules()
        if isinstance(module, LoRALinear)
        for part in ("lora_a", "lora_b")
    }


def merge_lora(backbone: nn.Module) -> None:
    """Replace layers with adapters by plain layers of the same function, in place; all weights can be trained again."""
    for name, module in list(backbone.named_modules()):
        if isinstance(module, LoRALinear):
            _replace(backbone, name, module.merged())
    backbone.requires_grad_(True)


def _check_called(backbone: nn.Module, size: int) -> None:
    waiting = {name for name, module in backbone.named_modules() if isinstance(module, LoRALinear)}

    def note(name: str) -> Any:
        return lambda *_: waiting.discard(name)

    handles = [backbone.get_submodule(name).register_forward_hook(note(name)) for name in waiting]
    mode = backbone.training
    with torch.no_grad():
        backbone.eval()(torch.zeros(1, 3, size, size))
    backbone.train(mode)
    for handle in handles:
        handle.remove()
    if waiting:
        raise ConfigError(
            f"`model.lora.layers`: {type(backbone).__name__} does not call {', '.join(sorted(waiting))} but reads the "
            "weights, so that an adapter has no effect there; name other layers"
        )


def _ends(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _replace(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)
