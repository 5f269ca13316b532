"""Publish an encoder: a folder with weights, preprocessing, card and metrics, which train.py and timm can load.

The folder holds no pickle and no images, and of the data settings no absolute path.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import timm
from timm.models._hub import save_config_for_hf
from torch import nn

from src.contracts.errors import ConfigError
from src.contracts.exchange import staged_folder
from src.contracts.exit_codes import exit_with_message
from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.trust import import_trusted
from src.eval.evaluation import read_metrics
from src.models.checkpoint import load_encoder, method_of
from src.models.encoder import Encoder
from src.models.sources import backbone_name
from src.models.zoo import CARD_FILE, CONFIG, HEAD, WEIGHTS, read_zoo_card

__all__ = ["publish"]

_CROP_MODES = {"crop": "center", "pad": "border", "squash": "squash"}

_README = """---
license: {licence}
library_name: {library}
tags: [image-feature-extraction, image-similarity-search]
---
# {name}

An image encoder for visual similarity search, trained with Lookalike. Licence of the weights: {licence}.

- backbone: {backbone}
- head: {head}
- embeddings: {dim} dimensions, norm 1

## Use

{use}
- backbone and head for training, with Lookalike: `model.weights=DIR`
- backbone and head for embedding images: `load_encoder("DIR")` of `src.models`

## Preprocessing

{size} x {size} pixels, resize `{resize}` (crop fraction {crop_fraction:g}), {interpolation}; mean {mean},
std {std} on the scale 0..1. `preprocessing.json` has all of it.

## Metrics

On the validation split of its own catalogue, by which the checkpoint was chosen; `metrics.json` has all of them.

{metrics}
"""
_TIMM = '- the backbone alone: `timm.create_model("local-dir:DIR", pretrained=True)`'


def publish(checkpoint: Path, output: Path, *, licence: str) -> None:
    """Write the folder of an encoder (`src/models/zoo.py`).

    Args:
        checkpoint: of train.py, or a folder of this kind.
        output: the folder; an older one of this kind is replaced, anything else is left alone.
        licence: of the weights, as an identifier of the Hugging Face Hub: `apache-2.0`, `cc-by-nc-4.0`, `other`.

    Raises:
        LookalikeError: the checkpoint cannot be read, or `output` holds something else.
    """
    encoder, spec, card = load_encoder(checkpoint)
    card = _public(card)
    metrics = read_metrics((checkpoint if checkpoint.is_dir() else checkpoint.parent.parent) / "metrics.json")
    backbone = card["model"]["backbone"]
    is_timm = isinstance(backbone, str) and ":" not in backbone and timm.is_model(backbone)
    # What a package registers need not be built as timm builds.
    is_timm = is_timm and hasattr(encoder.backbone, "pretrained_cfg")
    with staged_folder(output, check=_refuse_foreign) as folder:
        _write_weights(encoder.backbone, folder / WEIGHTS)
        _write_weights(encoder.head, folder / HEAD)
        if is_timm:
            _write_config(encoder, spec, card["model"].get("backbone_kwargs") or {}, folder / CONFIG, licence=licence)
        _write_json(folder / CARD_FILE, card)
        _write_json(folder / "preprocessing.json", spec.to_dict())
        _write_json(folder / "metrics.json", metrics)
        text = _readme(card, spec, metrics, dim=encoder.dim, licence=licence, timm_folder=is_timm)
        (folder / "README.md").write_text(text, encoding="utf-8")


def _public(card: Mapping[str, Any]) -> dict[str, Any]:
    """A card without absolute paths, which are of the machine that trained, and without adapters, which are merged."""
    data = {name: value for name, value in card["data"].items() if not str(value).startswith("/")}
    model = {name: value for name, value in card["model"].items() if name != "lora"}
    return {**card, "data": data, "model": model, "method": method_of(card)}


def _write_weights(module: nn.Module, path: Path) -> None:
    state = {name: value.clone().contiguous() for name, value in module.state_dict().items()}
    # Its own function for files gives them a mode that others cannot read.
    path.write_bytes(safetensors.torch.save(state, metadata={"format": "pt"}))


def _write_config(
    encoder: Encoder, spec: PreprocessingSpec, arguments: Mapping[str, Any], path: Path, *, licence: str
) -> None:
    """Write timm's config: what builds the backbone, and the spec as far as timm has words for it."""
    pixels = {
        "input_size": [3, spec.size, spec.size],
        "mean": list(spec.mean),
        "std": list(spec.std),
        "interpolation": spec.interpolation,
        "crop_pct": spec.crop_fraction,
        "crop_mode": _CROP_MODES[spec.resize],
        "num_classes": 0,
        "license": licence,
    }
    save_config_for_hf(
        encoder.backbone, str(path), model_config={"pretrained_cfg": pixels, "num_classes": 0}, model_args={**arguments}
    )


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _readme(
    card: Mapping[str, Any],
    spec: PreprocessingSpec,
    metrics: Mapping[str, float | int],
    *,
    dim: int,
    licence: str,
    timm_folder: bool,
) -> str:
    head = card["model"].get("head", "mlp")
    rows = [
        f"| {name} | {value:.4f} | {_interval(metrics, name)} |"
        for name, value in metrics.items()
        if isinstance(value, float) and not name.endswith(("_low", "_high"))
    ]
    return _README.format(
        licence=licence,
        library="timm" if timm_folder else "pytorch",
        name=card["name"],
        backbone=backbone_name(card["model"]["backbone"]),
        head=head if isinstance(head, str) else backbone_name(head["_target_"]),
        dim=dim,
        use=_TIMM if timm_folder else "- the backbone is not of timm; Lookalike builds it",
        metrics="\n".join(["| metric | value | interval |", "| --- | ---: | --- |", *rows])
        if rows
        else "None were kept.",
        **{name: value for name, value in spec.to_dict().items() if name not in ("hash", "decoding")},
    )


def _interval(metrics: Mapping[str, float | int], name: str) -> str:
    low, high = metrics.get(f"{name}_low"), metrics.get(f"{name}_high")
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"


def _refuse_foreign(output: Path) -> None:
    if output.exists() and (not output.is_dir() or (any(output.iterdir()) and read_zoo_card(output) is None)):
        raise ConfigError(f"`output={output}`: exists and is no published encoder; name a new folder")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m src.export.publish", description=__doc__)
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="checkpoint of train.py")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder to write")
    parser.add_argument(
        "--licence", required=True, help="of the weights: apache-2.0, cc-by-nc-4.0, other; they may carry that of the "
        "weights that training started from"
    )  # fmt: skip
    parser.add_argument("--trust", nargs="*", default=[], metavar="PACKAGE", help="import first; its classes may run")
    parsed = parser.parse_args(arguments)
    with exit_with_message():
        import_trusted(parsed.trust)
        publish(parsed.checkpoint, parsed.output, licence=parsed.licence)
        print(f"published: {parsed.output}")


if __name__ == "__main__":
    main()
