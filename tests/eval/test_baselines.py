"""Each baseline through the evaluation of a small catalogue."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings.evaluate import BASELINES as NAMED
from src.contracts.settings.evaluate import EvaluateSettings
from src.contracts.settings.train import EncoderSettings
from src.eval.baselines import BASELINES, open_baseline
from src.eval.evaluation import evaluate_split
from src.models.color_histogram import color_histogram

NETWORK = {"backbone": "resnet10t", "backbone_kwargs": {"channels": [4, 8, 8, 8]}, "head": "mlp"}


@pytest.fixture(scope="module")
def catalogue(folder_catalogue: Callable[..., Path], data_settings: Callable, tmp_path_factory: object) -> Catalogue:
    root = folder_catalogue(tmp_path_factory.mktemp("catalogue"), items=16, images=3)  # type: ignore[attr-defined]
    return open_catalogue(data_settings(root=str(root)))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: object) -> str:
    path = tmp_path_factory.mktemp("weights") / "network.safetensors"  # type: ignore[attr-defined]
    network = timm.create_model("resnet10t", channels=[4, 8, 8, 8])
    safetensors.torch.save_file(network.state_dict(), path)
    return str(path)


def test_the_settings_name_exactly_what_there_is() -> None:
    assert tuple(sorted(BASELINES)) == NAMED


@pytest.mark.parametrize("name", NAMED)
def test_each_baseline_is_evaluated_and_gives_the_same_twice(name: str, catalogue: Catalogue, weights: str) -> None:
    spec = PreprocessingSpec(size=32, resize="squash")
    metrics = []
    for batch in (7, 128):
        model = open_baseline(name, catalogue, seed=1, batch=batch, model={**NETWORK, "weights": weights}, spec=spec)
        metrics.append(evaluate_split(catalogue, "test", model.spec, model.embed, batch=batch).metrics)
        assert model.trained_on is None
        assert model.name
        assert model.method
    assert metrics[0] == pytest.approx(metrics[1])
    assert metrics[0]["queries"] > 5
    # Noisy copies are told apart by anything but chance.
    assert metrics[0]["recall@1"] > 0.5 or name in ("random", "pretrained")


def test_the_color_histogram_is_of_the_image_scaled_to_128(catalogue: Catalogue) -> None:
    model = open_baseline("color_histogram", catalogue)
    assert model.spec == PreprocessingSpec(size=128, resize="squash")
    pixels = np.full((2, 8, 8, 3), 100, np.uint8)
    np.testing.assert_array_equal(model.embed(pixels), color_histogram(pixels))


def test_the_seed_names_the_draw(catalogue: Catalogue) -> None:
    drawn = [open_baseline("random", catalogue, seed=seed) for seed in (0, 0, 1)]
    ids = np.array(["a", "b"], dtype=object)
    np.testing.assert_array_equal(drawn[0].embed(ids), drawn[1].embed(ids))
    assert not np.allclose(drawn[0].embed(ids), drawn[2].embed(ids))
    assert [model.seed for model in drawn] == [0, 0, 1]
    assert len({model.method for model in drawn}) == 1


def test_random_vectors_need_no_images(folder_catalogue: Callable, data_settings: Callable, tmp_path: Path) -> None:
    root = folder_catalogue(tmp_path / "c", items=8, images=2)
    catalogue = open_catalogue(data_settings(root=str(root)))
    for image in root.rglob("*.png"):
        image.unlink()
    model = open_baseline("random", catalogue)
    assert evaluate_split(catalogue, "test", model.spec, model.embed).metrics["queries"] > 0


def test_the_network_is_the_given_weights_without_a_head(catalogue: Catalogue, weights: str) -> None:
    model = open_baseline("pretrained", catalogue, model={**NETWORK, "weights": weights})
    assert model.spec == PreprocessingSpec()
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    assert model.embed(pixels).shape == (2, 8)
    again = open_baseline("pretrained", catalogue, model={**NETWORK, "weights": weights})
    np.testing.assert_allclose(again.embed(pixels), model.embed(pixels), atol=1e-6)


def test_a_vocabulary_needs_training_images(
    folder_catalogue: Callable, data_settings: Callable, tmp_path: Path
) -> None:
    root = folder_catalogue(tmp_path / "c", items=6, images=2)
    manifest = "\n".join(["item_id,image,split", *(f"i,{path.relative_to(root)},test" for path in root.rglob("*.png"))])
    (root / "list.csv").write_text(manifest + "\n")
    settings = data_settings(root=str(root), reader="manifest", manifest="list.csv", split_by="given")
    with pytest.raises(LookalikeError, match="split `train`, which is empty"):
        open_baseline("sift_vlad", open_catalogue(settings))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"baseline": "sift"}, "must be one of color_histogram, pretrained, random, sift_vlad"),
        ({"baseline": "pretrained"}, "name the network with model=NAME"),
        ({"baseline": "pretrained", "model": EncoderSettings("resnet10t", pretrained=False)}, "has no weights"),
        ({"baseline": "random", "model": EncoderSettings("resnet10t")}, "`model`: only for baseline=pretrained"),
        ({"checkpoint": "x", "preprocessing": PreprocessingSpec(size=64)}, "`preprocessing`: only for baseline"),
    ],
)
def test_what_cannot_be_meant_is_refused(values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        EvaluateSettings(output="x", **values).check()


@pytest.mark.parametrize("model", [EncoderSettings("a", weights="b", pretrained=False), EncoderSettings("a")])
def test_a_network_with_weights_is_accepted(model: EncoderSettings) -> None:
    EvaluateSettings(output="x", baseline="pretrained", model=model, preprocessing=PreprocessingSpec(size=64)).check()
