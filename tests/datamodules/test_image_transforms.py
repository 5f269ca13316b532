"""Transforms of one image, of several libraries, applied to batches."""

import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn
from torchvision.transforms import v2

from src.commandline import CONF, composed, make
from src.contracts.errors import ConfigError
from src.contracts.settings import TrainSettings
from src.datamodules.image_transforms import ByDomain, OnArrays, OnFloats, OnPictures, PerImage

CATALOGUE, USER, UNKNOWN = 0, 1, -1


def batch(count: int, side: int = 24) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def changed(
    transform: object, pixels: torch.Tensor, *, seed: int = 0, domains: list[int] | None = None
) -> torch.Tensor:
    return PerImage(transform)(
        pixels, torch.tensor(domains or [USER] * len(pixels)), torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("name", sorted({path.stem for path in (CONF / "augmentation").glob("*.yaml")} - {"none"}))
def test_each_transform_of_the_configs_follows_its_seed_alone(name: str) -> None:
    overrides = ["data=shop", f"augmentation={name}", "preprocessing.size=24"]
    transform = make(composed(TrainSettings, "train", *overrides, "hydra.run.dir=unused").augmentation)
    pixels = batch(1).repeat(16, 1, 1, 1)
    changed(transform, pixels)  # the first call of a function is where its types are first checked
    states = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    first, again, other = (changed(transform, pixels, seed=seed) for seed in (1, 1, 2))
    assert (first.dtype, first.shape) == (torch.float32, pixels.shape)
    assert 0 <= first.min() <= first.max() <= 255
    torch.testing.assert_close(first, again, atol=0, rtol=0)
    assert not torch.equal(first, other)
    assert len({tuple(image.flatten()[:200].tolist()) for image in first}) > 4
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == states[1:]


def test_a_transform_that_changes_the_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"makes images of shape \(3, 24, 24\) into \(3, 24, 12\)"):
        changed(lambda image: image[..., ::2], batch(2))


def test_each_domain_has_its_own() -> None:
    pixels = batch(4)
    mirrored, inverted = pixels.flip(2).float(), 255 - pixels.float()
    both = ByDomain(catalogue=v2.RandomHorizontalFlip(1.0), user=v2.functional.invert)
    domains = [USER, CATALOGUE, UNKNOWN, USER]
    expected = torch.stack([inverted[0], mirrored[1], pixels[2].float(), inverted[3]])
    torch.testing.assert_close(changed(both, pixels, domains=domains), expected)
    expected[1] = pixels[1]
    torch.testing.assert_close(changed(ByDomain(user=v2.functional.invert), pixels, domains=domains), expected)


class Drawn(nn.Module):
    """Mirrors an image, on the scale that kornia has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[:2] == (1, 3)
        assert 0 <= images.min() <= images.max() <= 1
        return images.flip(3)


class Compose:
    """As albumentations' class of that name: a generator of its own, arrays of shape (height, width, 3)."""

    def __init__(self, transforms: list) -> None:
        self.transforms, self.seeds = transforms, []

    def set_random_seed(self, seed: int) -> None:
        self.seeds.append(seed)

    def __call__(self, *, image: np.ndarray) -> dict[str, np.ndarray]:
        assert (image.dtype, image.shape[2]) == (np.uint8, 3)
        for transform in self.transforms:
            image = transform(image)
        return {"image": image}


def test_other_libraries_get_images_as_they_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = batch(3)
    mirrored = pixels.flip(2).float()
    torch.testing.assert_close(changed(OnPictures(ImageOps.mirror), pixels), mirrored)
    torch.testing.assert_close(changed(OnPictures(lambda picture: picture.convert("L")), pixels)[..., 0], grey(pixels))
    torch.testing.assert_close(changed(OnFloats(Drawn()), pixels), mirrored, atol=1e-3, rtol=0)
    library = ModuleType("albumentations")
    library.Compose = Compose
    monkeypatch.setitem(sys.modules, "albumentations", library)
    arrays = OnArrays([lambda image: image[:, ::-1]])
    torch.testing.assert_close(changed(arrays, pixels), mirrored)
    changed(arrays, pixels)
    seeds = arrays._transform.seeds
    assert seeds[:3] == seeds[3:]
    assert len({*seeds[:3]}) == 3


def grey(pixels: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [torch.from_numpy(np.array(Image.fromarray(one.numpy()).convert("L"))) for one in pixels]
    ).float()


def test_a_library_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ConfigError, match="pip install albumentations"):
        OnArrays([])
