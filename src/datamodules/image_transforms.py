"""Augmentation by transforms of one image, of torchvision or other libraries; each domain may have its own."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image
from torch import Tensor, nn

from src.contracts.errors import ConfigError
from src.contracts.tables import DOMAINS

__all__ = ["ByDomain", "OnArrays", "OnFloats", "OnPictures", "PerImage", "Transform"]

Transform = Callable[[Tensor], Tensor]
"""Takes one image, uint8 of shape (3, height, width); gives the same shape on the scale 0..255."""


class PerImage:
    """Applies a transform to each image of a batch.

    A transform draws from the global generators of torch, NumPy or Python, which are seeded for the batch and restored
    after it.
    """

    def __init__(self, transform: "Transform | ByDomain") -> None:
        """Set the transform, or one for each domain."""
        self._transform = transform

    def __call__(
        self,
        pixels: UInt8[Tensor, "batch height width 3"],
        domains: Int64[Tensor, " batch"],
        generator: torch.Generator,
    ) -> Float[Tensor, "batch height width 3"]:
        """Transform each image in turn.

        Raises:
            ConfigError: the transform changes the shape.
        """
        images = pixels.permute(0, 3, 1, 2)
        own = self._transform
        with _seeded(generator.initial_seed()):
            transforms = own.chosen(domains) if isinstance(own, ByDomain) else [own] * len(images)
            changed = [transform(image) for transform, image in zip(transforms, images, strict=True)]
        if any(image.shape != images.shape[1:] for image in changed):
            shapes = sorted({tuple(image.shape) for image in changed})
            raise ConfigError(
                f"`augmentation`: {self._transform} makes images of shape {tuple(images.shape[1:])} into {shapes[0]}; "
                "give it the same size, `${preprocessing.size}`"
            )
        return torch.stack(changed).permute(0, 2, 3, 1).float()


class ByDomain:
    """Another transform for catalogue images than for the photos of users."""

    def __init__(self, *, catalogue: Transform | None = None, user: Transform | None = None) -> None:
        """Set the transforms; None leaves images of that domain as they are, as those of unknown domain are."""
        self._of = dict(zip(DOMAINS, (catalogue, user), strict=True))

    def chosen(self, domains: Int64[Tensor, " batch"]) -> list[Transform]:
        """The transform of each image of a batch."""
        names = [DOMAINS[number] if number >= 0 else None for number in domains.tolist()]
        return [(name and self._of[name]) or _unchanged for name in names]


class OnPictures:
    """A transform of PIL images, such as timm's `rand_augment_transform`."""

    def __init__(self, transform: Callable[[Image.Image], Image.Image]) -> None:
        """Set the transform of RGB images."""
        self._transform = transform

    def __call__(self, image: UInt8[Tensor, "3 height width"]) -> UInt8[Tensor, "3 _ _"]:
        """Transform one image."""
        picture = self._transform(Image.fromarray(image.permute(1, 2, 0).cpu().numpy()))
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).to(image.device)


class OnArrays:
    """Transforms of albumentations, one after the other."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        """Set the transforms.

        Raises:
            ConfigError: albumentations is not installed.
        """
        try:
            from albumentations import Compose  # type: ignore[import-not-found]  # optional
        except ImportError as error:
            raise ConfigError(f"`augmentation`: {error}; install it: pip install albumentations") from error
        self._transform = Compose(list(transforms))

    def __call__(self, image: UInt8[Tensor, "3 height width"]) -> UInt8[Tensor, "3 _ _"]:
        """Transform one image; the library's own generator follows torch's."""
        self._transform.set_random_seed(int(torch.randint(2**31, (1,))))
        array = self._transform(image=image.permute(1, 2, 0).cpu().numpy())["image"]
        return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).to(image.device)


class OnFloats:
    """A module on float images between 0 and 1, such as kornia's augmentations."""

    def __init__(self, transform: nn.Module) -> None:
        """Set the module, from shape (1, 3, height, width) to the same."""
        self._transform = transform

    def __call__(self, image: UInt8[Tensor, "3 height width"]) -> Float[Tensor, "3 _ _"]:
        """Transform one image."""
        changed: Tensor = self._transform(image[None].float() / 255)[0]
        return 255 * changed.clamp(0, 1)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the global generators, and restore them afterwards."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def _unchanged(image: Tensor) -> Tensor:
    return image
