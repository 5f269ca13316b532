"""Settings of `python evaluate.py`."""

from dataclasses import dataclass, field

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings
from src.contracts.settings.train import EncoderSettings

__all__ = ["BASELINES", "EvaluateSettings"]

BASELINES = ("color_histogram", "pretrained", "random", "sift_vlad")


@dataclass
class EvaluateSettings:
    """`python evaluate.py`: one of `checkpoint`, `embeddings` and `baseline`.

    Attributes:
        checkpoint: an encoder of ours; `data` is what it was trained on unless overridden.
        embeddings: a Parquet file of vectors made by anything else.
        baseline: `color_histogram`, `sift_vlad`, `pretrained` (a network before training) or `random` (chance level);
            needs `data=...`.
        model: with `baseline=pretrained`, the network; its head is left out.
        preprocessing: with `baseline=pretrained`, the pixels that its weights expect.
        seed: of `baseline=random` and `baseline=sift_vlad`.
        output: folder for metrics.json.
        split: the split to read; by default `test` where the catalogue has one, else `val`.
        level: `item` ranks items by their best image; `image` ranks images.
        batch: images embedded at once.
        pictures: queries in the picture of results; 0 makes none.
        resamples: draws of products behind each interval; 0 leaves out intervals, slices and over-indexing.
        confidence: of the intervals.
        slices: columns to slice by; null takes what the catalogue has, an empty list none.
    """

    checkpoint: str | None = None
    embeddings: str | None = None
    baseline: str | None = None
    model: EncoderSettings = field(default_factory=lambda: EncoderSettings(backbone=""))
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    seed: int = 0
    output: str = MISSING
    split: str | None = None
    level: str = "item"
    batch: int = 128
    pictures: int = 12
    resamples: int = 10_000
    confidence: float = 0.95
    slices: list[str] | None = None
    data: DataSettings = field(default_factory=DataSettings)

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = []
        given = [name for name in ("checkpoint", "embeddings", "baseline") if getattr(self, name) is not None]
        if len(given) != 1:
            problems.append(f"give exactly one of checkpoint=, embeddings=, baseline=; got {given or 'none'}")
        if self.baseline not in (None, *BASELINES):
            problems.append(f"`baseline={self.baseline}`: must be one of {', '.join(BASELINES)}")
        problems += _pretrained_problems(self)
        if self.level not in ("item", "image"):
            problems.append(f"`level={self.level}`: must be item or image")
        if self.split not in (None, "train", "val", "test"):
            problems.append(f"`split={self.split}`: must be train, val or test")
        if 0 < self.resamples < 100 or self.resamples < 0:
            problems.append(f"`resamples={self.resamples}`: must be 0 or at least 100")
        if not 0.5 <= self.confidence < 1:
            problems.append(f"`confidence={self.confidence}`: must be from 0.5 to below 1")
        raise_all(problems + below(self, "", {"batch": 1, "pictures": 0}))


def _pretrained_problems(settings: EvaluateSettings) -> list[str]:
    """The network and its pixels are named for the pretrained baseline, and for nothing else."""
    model = settings.model
    if settings.baseline != "pretrained":
        given = [name for name, value in (("model", model.backbone), ("preprocessing", _changed(settings))) if value]
        return [f"`{name}`: only for baseline=pretrained; a checkpoint brings its own" for name in given]
    if not model.backbone:
        return ["`baseline=pretrained`: name the network with model=NAME (see conf/model)"]
    if not model.pretrained and model.weights is None:
        return [f"`model={model.backbone}`: has no weights; set `model.weights=FILE` or `model.pretrained=true`"]
    return []


def _changed(settings: EvaluateSettings) -> bool:
    return settings.preprocessing != PreprocessingSpec()
