"""A published encoder: what others load is what was trained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from src.contracts.errors import ConfigError, LookalikeError
from src.contracts.settings import LoraSettings
from src.export.publish import main, publish
from src.models import load_encoder as load_for_embedding
from src.models.checkpoint import load_encoder, method_of, read_card
from src.models.encoder import Encoder
from src.models.warm_start import initial_encoder
from src.models.weights_preprocessing import weights_preprocessing
from tests.models.published import RESNET, SPEC, write_checkpoint
from tests.models.test_encoder import pixels

VIT = {"patch_size": 16, "depth": 2, "embed_dim": 12, "num_heads": 2}
MODELS = {
    "resnet10t": RESNET,
    "gem": replace(RESNET, head={"_target_": "src.models.heads.GeMHead", "p": 2.0}),
    "vit with adapters": replace(
        RESNET, backbone="vit_tiny_patch16_224", backbone_kwargs=VIT, lora=LoraSettings(2, 4.0, ["qkv"]), head="none"
    ),
}


@pytest.fixture(params=MODELS)
def run(request: Any, tmp_path: Path, data_settings: Any) -> tuple[Path, Encoder]:
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    encoder = write_checkpoint(path, data_settings(root="/home/me/photos", cache="cache"), MODELS[request.param])
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"recall@1": 0.75, "queries": 12}))
    return path, encoder


def test_timm_loads_the_backbone_and_lookalike_all_of_it(run: tuple[Path, Encoder], tmp_path: Path) -> None:
    path, encoder = run
    folder = tmp_path / "zoo"
    publish(path, folder, licence="apache-2.0")
    network = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(network(images), encoder.backbone(images), atol=1e-6, rtol=0)
    config = timm.data.resolve_model_data_config(network)
    assert (config["input_size"], tuple(config["mean"]), config["crop_mode"]) == ((3, 32, 32), SPEC.mean, "squash")
    opened, spec, card = load_encoder(folder)
    assert (spec, card["name"], method_of(card)) == (SPEC, "first", method_of(read_card(path)))
    with torch.no_grad():
        torch.testing.assert_close(opened(pixels(3)), encoder(pixels(3)), atol=1e-6, rtol=0)


def test_training_starts_from_it(run: tuple[Path, Encoder], tmp_path: Path) -> None:
    path, encoder = run
    publish(path, tmp_path / "zoo", licence="other")
    model = {**read_card(path)["model"], "weights": str(tmp_path / "zoo"), "lora": None}
    assert weights_preprocessing(model) == SPEC
    started = initial_encoder(spec=SPEC, **model).eval()
    with torch.no_grad():
        torch.testing.assert_close(started(pixels(3)), encoder(pixels(3)), atol=1e-6, rtol=0)
    # The backbone alone, of its folder.
    taken = initial_encoder(spec=SPEC, backbone=f"local-dir:{tmp_path / 'zoo'}", pretrained=True, head=model["head"])
    assert all(
        torch.equal(one, other)
        for one, other in zip(taken.backbone.parameters(), started.backbone.parameters(), strict=True)
    )


@pytest.fixture
def simple(tmp_path: Path, data_settings: Any) -> tuple[Path, Encoder]:
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    return path, write_checkpoint(path, data_settings(root="/home/me/photos", cache="cache"))


def test_the_folder_says_what_it_is_and_nothing_of_the_machine(
    simple: tuple[Path, Encoder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = {"recall@1": 0.75, "recall@1_low": 0.5, "recall@1_high": 1.0, "queries": 12}
    (tmp_path / "run" / "metrics.json").write_text(json.dumps(metrics))
    folder = tmp_path / "zoo"
    main([str(simple[0]), "--output", str(folder), "--licence", "cc-by-nc-4.0"])
    assert capsys.readouterr().out == f"published: {folder}\n"
    assert {path.name for path in folder.iterdir()} == {
        "README.md", "config.json", "head.safetensors", "lookalike.json", "metrics.json", "model.safetensors",
        "preprocessing.json",
    }  # fmt: skip
    readme = (folder / "README.md").read_text()
    assert "license: cc-by-nc-4.0" in readme
    assert "| recall@1 | 0.7500 | 0.5000 to 1.0000 |" in readme
    assert json.loads((folder / "metrics.json").read_text()) == metrics
    assert json.loads((folder / "config.json").read_text())["pretrained_cfg"]["license"] == "cc-by-nc-4.0"
    assert {path.stat().st_mode & 0o444 for path in folder.iterdir()} == {0o444}
    assert json.loads((folder / "preprocessing.json").read_text()) == json.loads(json.dumps(SPEC.to_dict()))
    assert not any(b"/home/me" in path.read_bytes() for path in folder.iterdir())
    # It replaces one of its kind, and nothing else.
    publish(folder, folder, licence="apache-2.0")
    assert "license: apache-2.0" in (folder / "README.md").read_text()
    assert json.loads((folder / "metrics.json").read_text())["recall@1"] == 0.75
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("")
    with pytest.raises(ConfigError, match="exists and is no published encoder"):
        publish(simple[0], tmp_path / "mine", licence="other")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]


def test_the_command_ends_with_2_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "absent.ckpt"), "--output", str(tmp_path / "zoo"), "--licence", "other"])
    assert ended.value.code == 2
    assert "no such file; train.py writes DIR/checkpoints/best.ckpt" in capsys.readouterr().err
    assert not (tmp_path / "zoo").exists()


def test_a_damaged_folder_is_named(simple: tuple[Path, Encoder], tmp_path: Path) -> None:
    publish(simple[0], tmp_path / "zoo", licence="other")
    (tmp_path / "zoo" / "head.safetensors").write_bytes(b"no weights")
    with pytest.raises(LookalikeError, match=r"`checkpoint=.*zoo`: head\.safetensors cannot be read"):
        load_encoder(tmp_path / "zoo")


def test_images_of_all_kinds_are_embedded_alike(simple: tuple[Path, Encoder], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (50, 40, 4), dtype=np.uint8)
    opaque = Image.fromarray(picture[..., :3])
    publish(simple[0], tmp_path / "zoo", licence="other")
    encoder = load_for_embedding(tmp_path / "zoo")
    assert encoder.embed([]).shape == (0, 8)
    for image in (opaque, Image.fromarray(picture), opaque.convert("L"), opaque.convert("CMYK"), opaque.quantize(9)):
        file = tmp_path / f"{image.mode}.{'tif' if image.mode == 'CMYK' else 'png'}"
        image.save(file)
        found = encoder.embed([image, file, str(file), file.read_bytes()])
        assert np.ptp(found, axis=0).max() < 1e-6
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    turned = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    opaque.save(turned, exif=exif)
    sideways = encoder.embed([Image.open(turned), turned, np.rot90(np.asarray(opaque), 3)])
    assert np.ptp(sideways, axis=0).max() < 1e-6
