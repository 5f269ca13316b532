"""The encoder: normalisation, norms, heads and weights."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import timm
import torch

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec
from src.models.encoder import Encoder, build_encoder
from src.models.inference import embedder

SPEC = PreprocessingSpec(size=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
NARROW = {"channels": [8, 8, 16, 16]}


def small(**changes: object) -> Encoder:
    arguments: dict = {"backbone": "resnet10t", "backbone_kwargs": NARROW, "hidden_dim": 16, "embedding_dim": 8}
    return build_encoder(**{"spec": SPEC, **arguments, **changes}).eval()


def pixels(count: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8))


class Flatten(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.flatten(1)


def test_pixels_are_normalised_channel_by_channel_and_embeddings_by_length() -> None:
    encoder = Encoder(Flatten(), torch.nn.Identity(), dim=3 * 4 * 4, spec=SPEC)
    batch = pixels(3, size=4)
    scaled = (batch.numpy() / 255.0 - np.array(SPEC.mean)) / np.array(SPEC.std)
    flat = np.stack([[image[y, x, c] for c in range(3) for y in range(4) for x in range(4)] for image in scaled])
    expected = flat / np.sqrt((flat**2).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(encoder(batch).numpy(), expected, atol=1e-6)
    torch.testing.assert_close(encoder(batch.float()), encoder(batch))


def test_an_embedding_does_not_depend_on_its_batch() -> None:
    encoder, batch = small(), pixels(5)
    with torch.no_grad():
        together = encoder(batch)
        alone = torch.cat([encoder(image[None]) for image in batch])
    assert together.shape == (5, 8)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


def test_under_bf16_autocast_embeddings_are_float32_of_norm_1() -> None:
    encoder = small().train()
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = encoder(pixels(6))
    assert embeddings.dtype == torch.float32
    # bfloat16 would leave errors of 4e-3.
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(6), atol=1e-6, rtol=0)


def test_a_vector_of_zeros_stays_finite() -> None:
    encoder = Encoder(Flatten(), torch.nn.Identity(), dim=48, spec=PreprocessingSpec(mean=(0, 0, 0), std=(1, 1, 1)))
    assert encoder(torch.zeros(1, 4, 4, 3, dtype=torch.uint8)).tolist() == [[0.0] * 48]


def test_without_a_head_the_features_are_the_backbone_s() -> None:
    encoder = small(head="none")
    assert encoder.dim == 16
    batch = pixels(2)
    with torch.no_grad():
        images = (batch.float().permute(0, 3, 1, 2) - encoder.mean) / encoder.std
        features = encoder.backbone(images)
        torch.testing.assert_close(encoder(batch), features / features.norm(dim=1, keepdim=True))


def test_the_head_is_linear_relu_linear() -> None:
    encoder = small()
    shapes = {name: tuple(value.shape) for name, value in encoder.head.state_dict().items()}
    assert shapes == {"0.weight": (16, 16), "0.bias": (16,), "2.weight": (8, 16), "2.bias": (8,)}
    assert encoder.dim == 8


def test_the_spec_is_no_part_of_the_weights() -> None:
    assert not {"mean", "std"} & set(small().state_dict())


def test_a_vision_transformer_takes_the_spec_s_size() -> None:
    encoder = build_encoder(
        spec=PreprocessingSpec(size=48),
        backbone="vit_tiny_patch16_224",
        backbone_kwargs={"depth": 1, "embed_dim": 12, "num_heads": 1},
        embedding_dim=6,
    ).eval()
    assert encoder(pixels(2, size=48)).shape == (2, 6)
    assert encoder.backbone.patch_embed.img_size == (48, 48)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    network = timm.create_model("resnet10t", **NARROW)
    safetensors.torch.save_file(network.state_dict(), tmp_path / "weights.safetensors")
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return tmp_path


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_weights_come_from_a_file(weights: Path, name: str) -> None:
    expected = safetensors.torch.load_file(weights / "weights.safetensors")
    # A file is taken instead of weights by name, which would need a network.
    found = small(weights=str(weights / name), pretrained=True).backbone.state_dict()
    assert not any(key.startswith("fc.") for key in found)
    for key, value in found.items():
        torch.testing.assert_close(value, expected[key], atol=0, rtol=0)


def test_weights_that_do_not_fit_are_refused(weights: Path, tmp_path: Path) -> None:
    path = str(weights / "weights.safetensors")
    with pytest.raises(
        ConfigError, match=r"`model\.backbone=resnet10t` with .*weights\.safetensors(.|\n)*size mismatch"
    ):
        small(weights=path, backbone_kwargs={"channels": [8, 8, 16, 32]})
    with pytest.raises(ConfigError, match=r"with .*weights\.safetensors"):
        small(weights=path, backbone="mobilenetv2_050", backbone_kwargs={})
    (tmp_path / "broken.safetensors").write_bytes(b"no weights")
    with pytest.raises(ConfigError, match=r"with .*broken\.safetensors"):
        small(weights=str(tmp_path / "broken.safetensors"))
    with pytest.raises(ConfigError, match=r"`model\.weights=absent\.pth`: no such file"):
        small(weights="absent.pth")


class Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_a_weights_file_runs_no_code(tmp_path: Path) -> None:
    torch.save({"state_dict": Payload(tmp_path / "ran")}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Payload(tmp_path / "ran")))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(ConfigError, match=name):
            small(weights=str(tmp_path / name))
    assert not (tmp_path / "ran").exists()


def test_a_model_that_timm_does_not_have_is_named_with_its_neighbours() -> None:
    with pytest.raises(ConfigError, match=r"`model\.backbone=resnet10_x`: no timm model; .*resnet10"):
        small(backbone="resnet10_x")
    with pytest.raises(ConfigError, match="similar names: none"):
        small(backbone="zzz")
    with pytest.raises(ConfigError, match=r"`model\.backbone=resnet10t` with new weights: TypeError"):
        small(backbone_kwargs={"colour": "red"})


def test_an_embedder_takes_and_gives_arrays() -> None:
    encoder, batch = small().train(), pixels(4)
    vectors = embedder(encoder)(batch.numpy())
    assert (vectors.dtype, vectors.shape) == (np.float32, (4, 8))
    assert not encoder.training
    with torch.no_grad():
        np.testing.assert_allclose(vectors, encoder.cpu()(batch).numpy(), atol=1e-5)
