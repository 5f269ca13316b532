"""The stages of loading are measured on what a run would do, and the slowest is named."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from src.catalog.catalogue import Catalogue, open_catalogue
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings import EncoderSettings, TrainerSettings, TrainSettings
from src.datamodules import benchmark
from src.datamodules.loading_stages import Stage, bottleneck, first_epoch_stages, training_stages
from src.datamodules.pixels import iterate_pixels
from src.datamodules.training_set import training_set
from src.models.checkpoint import CARD, make_card
from src.models.encoder import build_encoder

SPEC = PreprocessingSpec(size=16)


@pytest.fixture
def catalogue(data_settings, folder_catalogue, tmp_path: Path) -> Catalogue:
    root = folder_catalogue(tmp_path / "shop", items=16, images=4)
    return open_catalogue(data_settings(root=str(root), val_fraction=0.1, test_fraction=0.1))


def test_every_stage_has_a_speed_and_nothing_is_left_on_disk(catalogue: Catalogue, tmp_path: Path) -> None:
    images = training_set(catalogue)
    pixels = np.concatenate(list(iterate_pixels(catalogue, images.rows, SPEC, batch=64)))
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(4))
    folder = tmp_path / "cache"
    folder.mkdir()
    once = list(first_epoch_stages(catalogue, images.rows, SPEC))
    device = torch.device("cpu")
    of_batches = list(
        training_stages(pixels, images, encoder, p=2, k=2, augmentation="strong", device=device, folder=folder)
    )
    assert all(stage.images_per_second > 0 for stage in [*once, *of_batches])
    assert not any(stage.each_epoch for stage in once)
    names = [stage.name for stage in of_batches if stage.each_epoch]
    assert names == [
        "draw batches",
        "cache to batch, cold",
        "cache to batch, warm",
        "augment (strong)",
        "encoder: forward, backward, AdamW",
    ]
    assert not list(folder.iterdir())
    # In threads it can't be faster than the reading alone.
    assert once[-1].images_per_second < once[1].images_per_second


def test_the_bottleneck_is_the_slowest_of_what_an_epoch_does() -> None:
    stages = [
        Stage("decode", 5, False),
        Stage("cache to batch, cold", 10, True),
        Stage("augment", 50, True),
        Stage("encoder", 30, True),
    ]
    assert bottleneck(stages, each_epoch=True).name == "encoder"
    assert bottleneck(stages, each_epoch=False).name == "decode"


def checkpoint(catalogue: Catalogue, data_settings, path: Path) -> Path:
    model = EncoderSettings(backbone="resnet10t", pretrained=False, hidden_dim=8, embedding_dim=4)
    data = data_settings(
        root=str(catalogue.root), val_fraction=0.1, test_fraction=0.1, cache=str(path.parent / "cache")
    )
    settings = TrainSettings(
        name="small", data=data, preprocessing=SPEC, model=model, trainer=TrainerSettings(epochs=0)
    )
    card = make_card(settings)
    encoder = build_encoder(spec=SPEC, **card["model"])
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    torch.save({CARD: card, "state_dict": state}, path)
    assert asdict(settings.data)["p"] == 2
    return path


def test_the_command_prints_a_table_and_the_bottleneck(
    catalogue: Catalogue, data_settings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = checkpoint(catalogue, data_settings, tmp_path / "best.ckpt")
    benchmark.main(["--checkpoint", str(path), "--images", "32", "--p", "3", "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "small: 32 images at 16 px, batches of 3 x 2, cpu" in " ".join(printed.split())
    assert "resize, one thread" in printed
    assert "bottleneck: encoder: forward, backward, AdamW; the next," in printed
    assert "augment" not in printed


def test_too_few_images_for_a_batch_end_with_two(
    catalogue: Catalogue, data_settings, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = checkpoint(catalogue, data_settings, tmp_path / "best.ckpt")
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["--checkpoint", str(path), "--images", "3"])
    assert caught.value.code == 2
    assert "`--images 3`: 3 training images of" in capsys.readouterr().err
