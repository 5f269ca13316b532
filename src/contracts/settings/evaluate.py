"""Settings of `python evaluate.py`."""

from dataclasses import dataclass, field

from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings

__all__ = ["EvaluateSettings"]


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
        raise_all(problems + below(self, "", {"batch": 1, "pictures": 0}))
