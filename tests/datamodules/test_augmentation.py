"""Random changes: none where none is asked, the same for the same seed, and within their limits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.datamodules.augmentation import STRENGTHS, Strength, _grid, augment

NOTHING = Strength((1.0, 1.0), 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def batch(count: int, height: int = 24, width: int = 24, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


def run(pixels: torch.Tensor, strength: Strength, seed: int = 0) -> torch.Tensor:
    return augment(pixels, strength, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(24, 24), (7, 30), (1, 1)])
def test_no_strength_changes_nothing(size: tuple[int, int]) -> None:
    pixels = batch(3, *size)
    torch.testing.assert_close(run(pixels, NOTHING), pixels.float(), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", STRENGTHS)
def test_pixels_stay_in_their_range_and_images_differ(name: str) -> None:
    changed = run(batch(1).repeat(32, 1, 1, 1), STRENGTHS[name])
    assert changed.dtype == torch.float32
    assert changed.shape == (32, 24, 24, 3)
    assert changed.min() >= 0
    assert changed.max() <= 255
    assert len({tuple(image.flatten()[:50].tolist()) for image in changed}) == 32


@pytest.mark.parametrize("name", STRENGTHS)
def test_a_seed_decides_all(name: str) -> None:
    pixels = batch(4)
    assert torch.equal(run(pixels, STRENGTHS[name]), run(pixels, STRENGTHS[name]))
    assert not torch.equal(run(pixels, STRENGTHS[name]), run(pixels, STRENGTHS[name], seed=1))


def test_a_flip_is_a_mirror_image() -> None:
    pixels = batch(5)
    flipped = run(pixels, replace(NOTHING, flip=1.0))
    torch.testing.assert_close(flipped, pixels.float().flip(2), atol=0.01, rtol=0)
    half = run(pixels[:1].repeat(400, 1, 1, 1), replace(NOTHING, flip=0.5))
    mirrored = (half - pixels[:1].float().flip(2)).abs().amax(dim=(1, 2, 3)) < 1
    assert 140 < int(mirrored.sum()) < 260


def test_zoom_magnifies() -> None:
    ramp = torch.arange(48, dtype=torch.uint8)[None, None, :, None].expand(1, 48, 48, 3).contiguous() * 5
    for zoom in (2.0, 0.5):
        changed = run(ramp, replace(NOTHING, zoom=(zoom, zoom)))[0, 24, :, 0]
        # In the middle, the ramp's slope is divided by the magnification.
        assert float(changed[30] - changed[18]) / 12 == pytest.approx(5 / zoom, abs=0.01)
        # Its centre stays where it is.
        assert float(changed[23] + changed[24]) / 2 == pytest.approx(5 * 23.5, abs=0.01)


def test_a_rotation_keeps_the_centre_and_the_distances() -> None:
    pixels = torch.zeros(50, 41, 41, 3, dtype=torch.uint8)
    pixels[:, 20, 34] = 255
    changed = run(pixels, replace(NOTHING, rotation=25.0))[..., 0]
    ys, xs = torch.meshgrid(torch.arange(41) - 20.0, torch.arange(41) - 20.0, indexing="ij")
    weight = changed.sum(dim=(1, 2))
    x, y = (changed * xs).sum(dim=(1, 2)) / weight, (changed * ys).sum(dim=(1, 2)) / weight
    angles = torch.rad2deg(torch.atan2(y, x))
    torch.testing.assert_close(torch.hypot(x, y), torch.full((50,), 14.0), atol=0.3, rtol=0)
    assert angles.abs().max() <= 25.5
    assert angles.min() < -10
    assert angles.max() > 10


def test_brightness_scales_all_channels_alike() -> None:
    grey = torch.full((60, 4, 4, 3), 100, dtype=torch.uint8)
    changed = run(grey, replace(NOTHING, brightness=0.2))
    values = changed[:, 0, 0]
    assert torch.equal(values[:, 0], values[:, 2])
    assert 79.9 <= float(values.min()) < 90
    assert 110 < float(values.max()) <= 120.1


def test_tint_changes_channels_apart_and_saturation_keeps_the_grey() -> None:
    grey = torch.full((60, 4, 4, 3), 100, dtype=torch.uint8)
    tinted = run(grey, replace(NOTHING, tint=0.1))
    assert (tinted[:, 0, 0, 0] - tinted[:, 0, 0, 2]).abs().max() > 2
    assert tinted.min() >= 89.9
    torch.testing.assert_close(run(grey, replace(NOTHING, saturation=0.3)), grey.float())
    torch.testing.assert_close(run(grey, replace(NOTHING, contrast=0.3)), grey.float())
    coloured = torch.tensor([90, 120, 150], dtype=torch.uint8).expand(20, 4, 4, 3).contiguous()
    changed = run(coloured, replace(NOTHING, saturation=0.3))
    torch.testing.assert_close(changed.mean(dim=3), torch.full((20, 4, 4), 120.0))
    spread = changed[:, 0, 0, 2] - changed[:, 0, 0, 0]
    assert 60 * 0.7 - 0.1 <= float(spread.min()) < float(spread.max()) <= 60 * 1.3 + 0.1


def test_erasing_paints_a_rectangle_in_the_mean_colour() -> None:
    pixels = batch(100, 40, 40)
    changed = run(pixels, replace(NOTHING, erase=1.0))
    different = ((changed - pixels.float()).abs() > 0.5).any(dim=3)
    mean = pixels.float().mean(dim=(1, 2))
    for image, mask, colour in zip(changed, different, mean, strict=True):
        rows, columns = (torch.nonzero(mask.any(dim=axis)).flatten() for axis in (1, 0))
        if not len(rows):
            continue
        inside = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        torch.testing.assert_close(inside, colour.expand_as(inside), atol=1.0, rtol=0)
        assert mask.float().mean() <= 0.17
    assert different.any(dim=(1, 2)).float().mean() > 0.95
    untouched = run(pixels, replace(NOTHING, erase=0.25)) - pixels.float()
    assert 60 < int((untouched.abs().amax(dim=(1, 2, 3)) < 0.5).sum()) < 90


@pytest.mark.parametrize("size", [(24, 24), (5, 9), (1, 1)])
def test_colours_change_one_after_the_other(size: tuple[int, int]) -> None:
    pixels = batch(20, *size)
    strength = replace(NOTHING, brightness=0.3, contrast=0.3, saturation=0.3, tint=0.12)
    # The same draws: six of the geometry, then saturation, contrast, brightness and tint.
    rng = torch.Generator().manual_seed(5)
    torch.rand(6 * 20, generator=rng)

    def drawn(limit: float, channels: int = 1) -> np.ndarray:
        values = torch.rand(20 * channels, generator=rng).double().numpy() * 2 * limit + 1 - limit
        return values.reshape(20, 1, 1, channels)

    images = pixels.double().numpy()
    grey = images.mean(axis=3, keepdims=True)
    images = grey + (images - grey) * drawn(0.3)
    mean = images.mean(axis=(1, 2, 3), keepdims=True)
    images = mean + (images - mean) * drawn(0.3)
    images = np.clip(images * drawn(0.3) * drawn(0.12, 3), 0, 255)
    np.testing.assert_allclose(run(pixels, strength, seed=5).numpy(), images, atol=0.02)


def test_geometry_is_that_of_an_affine_grid() -> None:
    strength = STRENGTHS["strong"]
    grid = _grid(torch.Size((6, 3, 7, 11)), strength, torch.Generator().manual_seed(1))
    # Three points give back the matrix; all others must lie where torch's own puts them.
    ys, xs = ((torch.arange(side) * 2 + 1) / side - 1 for side in (7, 11))
    across = (grid[:, 0, 10] - grid[:, 0, 0]) / (xs[10] - xs[0])
    down = (grid[:, 6, 0] - grid[:, 0, 0]) / (ys[6] - ys[0])
    shift = grid[:, 3, 5]
    matrix = torch.stack([across, down, shift], dim=2)
    torch.testing.assert_close(F.affine_grid(matrix, [6, 3, 7, 11], align_corners=False), grid, atol=1e-5, rtol=0)
    assert shift.abs().max() <= 2 * strength.shift


def test_shapes_are_checked_in_tests() -> None:
    from jaxtyping import TypeCheckError

    with pytest.raises(TypeCheckError):
        run(batch(1).float(), NOTHING)
    with pytest.raises(TypeCheckError):
        run(batch(1)[..., :2], NOTHING)
