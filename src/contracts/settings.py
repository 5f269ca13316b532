"""The settings of the three command lines, as dataclasses that Hydra validates configs against.

Values that only YAML gives (conf/) are `MISSING` here, so that a config that forgets one is an error at compose.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from src.contracts.errors import ConfigError
from src.contracts.preprocessing import PreprocessingSpec

__all__ = [
    "DataSettings",
    "EncoderSettings",
    "EvaluateSettings",
    "ExportSettings",
    "IndexSettings",
    "MISSING",
    "OptimSettings",
    "ShopSettings",
    "TrainSettings",
    "TrainerSettings",
    "check_data",
    "complete_data",
]

MISSING: Any = "???"
"""OmegaConf's mark for a value that must be given."""

_ACCELERATORS = ("auto", "cpu", "gpu", "mps")

Component = dict[str, Any]
"""A class and its arguments, as Hydra instantiates them: `_target_` and keywords."""


@dataclass
class ShopSettings:
    """The built-in shop.

    Attributes:
        parents: products; each has one to four colour variants, which are the items.
        seed: all of the shop follows from it.
        image_size: side of the stored images, in pixels.
        sessions: sessions in the interactions log.
    """

    parents: int = MISSING
    seed: int = MISSING
    image_size: int = MISSING
    sessions: int = MISSING


@dataclass
class DataSettings:
    """Where items come from, how they are split, and how batches are drawn from them.

    Attributes:
        reader: `folder`, `manifest` or `shop`.
        root: folder of the catalogue; image paths are relative to it.
        manifest: with `manifest`, the CSV or Parquet file, relative to `root`.
        columns: our column name -> the manifest's.
        splits: the manifest's split value -> ours (`train`, `val`, `test`, or `all` for images that belong to each).
        domains: the manifest's domain value -> ours (`catalogue`, `user`).
        split_by: `given` (the manifest's split column) or `product` (whole products, by `split_seed`).
        val_fraction: with `product`, the share of the products that is for validation.
        test_fraction: with `product`, the share that is for the test.
        split_seed: decides which products go where.
        p: items in a training batch.
        k: images of each of them.
        augmentation: `none`, `light` or `strong`.
        workers: processes that fetch batches; 0 fetches in the main one, best while the pixel cache fits in memory.
        cache: folder for decoded pixels, 3 x size x size bytes an image.
        shop: with reader `shop`, what to simulate.
    """

    reader: str = MISSING
    root: str = MISSING
    manifest: str = MISSING
    columns: dict[str, str] = MISSING
    splits: dict[str, str] = MISSING
    domains: dict[str, str] = MISSING
    split_by: str = MISSING
    val_fraction: float = MISSING
    test_fraction: float = MISSING
    split_seed: int = MISSING
    p: int = MISSING
    k: int = MISSING
    augmentation: str = MISSING
    workers: int = MISSING
    cache: str = MISSING
    shop: ShopSettings = field(default_factory=ShopSettings)


@dataclass
class EncoderSettings:
    """A timm backbone and a projection head.

    Attributes:
        backbone: a timm model name.
        pretrained: take timm's weights of that name (needs a network or a filled cache).
        weights: take the weights of this file instead (safetensors, or a checkpoint that holds tensors only).
        backbone_kwargs: further arguments of `timm.create_model`.
        head: `mlp` (Linear-ReLU-Linear) or `none` (the backbone's own features: for the untrained baseline).
        hidden_dim: width of the head's hidden layer.
        embedding_dim: numbers in an embedding; with `none` it is the backbone's.
    """

    backbone: str = MISSING
    pretrained: bool = True
    weights: str | None = None
    backbone_kwargs: dict[str, Any] = field(default_factory=dict)
    head: str = "mlp"
    hidden_dim: int = 1024
    embedding_dim: int = 512


@dataclass
class OptimSettings:
    """AdamW with linear warm-up and cosine decay to zero, by step.

    Attributes:
        lr: peak learning rate of the head (and of a loss with weights of its own).
        backbone_lr: peak learning rate of the backbone.
        weight_decay: decoupled; biases and normalisation layers have none.
        warmup: share of the steps that warm up.
    """

    lr: float = 1e-3
    backbone_lr: float = 1e-4
    weight_decay: float = 0.05
    warmup: float = 0.1


@dataclass
class TrainerSettings:
    """How long and on what.

    Attributes:
        epochs: passes over the training items; 0 evaluates and saves the encoder as it is.
        precision: Lightning's name: `32-true` or `bf16-mixed`.
        gradient_clip: largest norm of the gradient.
        patience: validations without a better Recall@1 before training stops.
        validate_every: epochs from one validation to the next.
        accelerator: Lightning's name: `auto`, `cpu`, `gpu`.
        eval_batch: images embedded at once.
    """

    epochs: int = MISSING
    precision: str = "32-true"
    gradient_clip: float = 1.0
    patience: int = 5
    validate_every: int = 1
    accelerator: str = "auto"
    eval_batch: int = 128


@dataclass
class TrainSettings:
    """`python train.py`."""

    name: str = MISSING
    seed: int = 0
    data: DataSettings = field(default_factory=DataSettings)
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    model: EncoderSettings = field(default_factory=EncoderSettings)
    loss: Component = field(default_factory=dict)
    miner: Component = field(default_factory=dict)
    optim: OptimSettings = field(default_factory=OptimSettings)
    trainer: TrainerSettings = field(default_factory=TrainerSettings)
    logger: Component = field(default_factory=dict)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = [*_data_problems(self.data), *_encoder_problems(self.model)]
        if self.data.k < 2 and "_target_" in self.loss:
            loss = self.loss["_target_"].rsplit(".", 1)[-1]
            problems.append(f"`data.k={self.data.k}`: {loss} needs at least 2 images per item; set `data.k=4`")
        if self.data.p < 2:
            problems.append(f"`data.p={self.data.p}`: negatives need at least 2 items per batch; set `data.p=16`")
        problems += _below(self.trainer, "trainer", {"patience": 1, "validate_every": 1, "eval_batch": 1, "epochs": 0})
        if self.trainer.precision not in ("32-true", "bf16-mixed"):
            problems.append(f"`trainer.precision={self.trainer.precision}`: must be 32-true or bf16-mixed")
        if self.trainer.accelerator not in _ACCELERATORS:
            names = ", ".join(_ACCELERATORS)
            problems.append(f"`trainer.accelerator={self.trainer.accelerator}`: must be one of {names}")
        if not self.trainer.gradient_clip > 0:
            problems.append(f"`trainer.gradient_clip={self.trainer.gradient_clip}`: must be above 0")
        if not 0 <= self.seed < 2**32:
            problems.append(f"`seed={self.seed}`: must lie in 0..{2**32 - 1}")
        if "_target_" not in self.loss:
            problems.append("`loss` names no class; choose one with loss=NAME (see conf/loss)")
        if not 0 <= self.optim.warmup < 1:
            problems.append(f"`optim.warmup={self.optim.warmup}`: a share of the steps, in [0, 1)")
        for name in ("lr", "backbone_lr", "weight_decay"):
            if not 0 <= getattr(self.optim, name) < float("inf"):
                problems.append(f"`optim.{name}={getattr(self.optim, name)}`: must be finite and not negative")
        _raise(problems)


@dataclass
class EvaluateSettings:
    """`python evaluate.py`: one of `checkpoint`, `embeddings` and `baseline`.

    Attributes:
        checkpoint: an encoder of ours; `data` is what it was trained on unless overridden.
        embeddings: a Parquet file of vectors made by anything else.
        baseline: `color_histogram`; needs `data=...`.
        output: folder for metrics.json.
        split: the split to read; by default `test` where the catalogue has one, else `val`.
        level: `item` ranks items by their best image; `image` ranks images.
        batch: images embedded at once.
        pictures: queries in the picture of results; 0 makes none.
    """

    checkpoint: str | None = None
    embeddings: str | None = None
    baseline: str | None = None
    output: str = MISSING
    split: str | None = None
    level: str = "item"
    batch: int = 128
    pictures: int = 12
    data: DataSettings = field(default_factory=DataSettings)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = []
        given = [name for name in ("checkpoint", "embeddings", "baseline") if getattr(self, name) is not None]
        if len(given) != 1:
            problems.append(f"give exactly one of checkpoint=, embeddings=, baseline=; got {given or 'none'}")
        if self.baseline not in (None, "color_histogram"):
            problems.append(f"`baseline={self.baseline}`: must be color_histogram")
        if self.level not in ("item", "image"):
            problems.append(f"`level={self.level}`: must be item or image")
        if self.split not in (None, "train", "val", "test"):
            problems.append(f"`split={self.split}`: must be train, val or test")
        _raise(problems + _below(self, "", {"batch": 1, "pictures": 0}))


@dataclass
class IndexSettings:
    """The vector index of a bundle.

    Attributes:
        layout: `exact`, `hnsw`, or `auto` (exact below 50,000 vectors).
        m: HNSW links per vector and level.
        ef_construction: HNSW candidates while building.
        ef_search: HNSW candidates while searching.
        min_recall: smallest recall@10 against exact search that may be exported.
    """

    layout: str = "auto"
    m: int = 32
    ef_construction: int = 200
    ef_search: int = 64
    min_recall: float = 0.95


@dataclass
class ExportSettings:
    """`python export.py`.

    Attributes:
        checkpoint: the encoder to export.
        output: the bundle's folder; an older bundle there is replaced, anything else is left alone.
        data: the catalogue to index; what the encoder was trained on unless overridden.
        index: the vector index.
        max_abs: largest difference from torch that an embedding's number may have.
        min_centred_cosine: smallest cosine to torch's embedding after the mean is taken off both.
        parity_images: catalogue images that the parity is measured on.
        thumbnail: longer side of the pictures that the service shows, in pixels.
        batch: images embedded at once.
    """

    checkpoint: str = MISSING
    output: str = MISSING
    data: DataSettings = field(default_factory=DataSettings)
    index: IndexSettings = field(default_factory=IndexSettings)
    max_abs: float = 1e-5
    min_centred_cosine: float = 0.9999
    parity_images: int = 64
    thumbnail: int = 256
    batch: int = 128

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = _below(self, "", {"parity_images": 2, "batch": 1, "thumbnail": 16})
        if self.index.layout not in ("auto", "exact", "hnsw"):
            problems.append(f"`index.layout={self.index.layout}`: must be auto, exact or hnsw")
        _raise(problems + _below(self.index, "index", {"m": 2, "ef_construction": 1, "ef_search": 1}))


def complete_data(overrides: DataSettings, trained_on: Mapping[str, Any] | None) -> DataSettings:
    """Fill what `overrides` leaves out with what an encoder was trained on, and check the result.

    Args:
        overrides: as composed; `MISSING` where nothing was said.
        trained_on: the card's `data`, or None where there is no checkpoint.

    Raises:
        ConfigError: values that are still missing, or that cannot work.
    """
    values = asdict(overrides)
    shop = _merged(values.pop("shop"), (trained_on or {}).get("shop", {}))
    data = DataSettings(**_merged(values, trained_on or {}), shop=ShopSettings(**shop))
    absent = [name for name, value in asdict(data).items() if value == MISSING]
    if absent:
        raise ConfigError(f"`data.{absent[0]}` is not given; name the catalogue with data=NAME (see conf/data)")
    check_data(data)
    return data


def _merged(values: Mapping[str, Any], fallback: Mapping[str, Any]) -> dict[str, Any]:
    return {name: fallback.get(name, value) if value == MISSING else value for name, value in values.items()}


def check_data(data: DataSettings) -> None:
    """Raise `ConfigError` with everything in the data settings that cannot work."""
    _raise(_data_problems(data))


def _data_problems(data: DataSettings) -> list[str]:
    problems = []
    if data.reader not in ("folder", "manifest", "shop"):
        problems.append(f"`data.reader={data.reader}`: must be folder, manifest or shop")
    if data.split_by not in ("given", "product"):
        problems.append(f"`data.split_by={data.split_by}`: must be given or product")
    total = data.val_fraction + data.test_fraction
    if not (data.val_fraction >= 0 and data.test_fraction >= 0 and total < 1):
        problems.append(
            f"`data.val_fraction={data.val_fraction}`, `data.test_fraction={data.test_fraction}`: neither may be "
            "negative, and their sum must be below 1"
        )
    if data.augmentation not in ("none", "light", "strong"):
        problems.append(f"`data.augmentation={data.augmentation}`: must be none, light or strong")
    if data.reader == "shop":
        problems += _below(data.shop, "data.shop", {"parents": 20, "image_size": 32, "sessions": 0})
    return problems + _below(data, "data", {"workers": 0})


def _encoder_problems(model: EncoderSettings) -> list[str]:
    problems = _below(model, "model", {"embedding_dim": 2, "hidden_dim": 1})
    if model.head not in ("mlp", "none"):
        problems.append(f"`model.head={model.head}`: must be mlp or none")
    return problems


def _below(settings: object, prefix: str, smallest: Mapping[str, int]) -> list[str]:
    dot = "." if prefix else ""
    return [
        f"`{prefix}{dot}{name}={getattr(settings, name)}`: must be at least {least}"
        for name, least in smallest.items()
        if getattr(settings, name) < least
    ]


def _raise(problems: list[str]) -> None:
    if problems:
        raise ConfigError("\n".join(problems))
