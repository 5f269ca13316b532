"""Settings of `python evaluate.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from src.contracts.preprocessing import PreprocessingSpec
from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings
from src.contracts.settings.encoder import EncoderSettings
from src.contracts.settings.rerank import RerankSettings, rerank_problems

__all__ = ["BASELINES", "GRADES", "METRICS", "ROBUSTNESS", "EvaluateSettings"]

BASELINES = ("color_histogram", "pretrained", "random", "sift_vlad")

ROBUSTNESS = ("jpeg30", "blur", "dark", "rotated90", "quarter", "clutter", "clutter_box")
"""Edits of the query photos; `src.eval.edits` and `src.eval.robustness` make them."""

METRICS: Mapping[str, tuple[int, ...]] = {
    "recall": (1, 5, 10),
    "precision": (1, 5, 10),
    "map": (10,),
    "ndcg": (10,),
    "graded_ndcg": (10,),
}
"""The metrics that take a K, and the Ks that they are measured at; map@r, r_precision and mrr take none."""

GRADES: Mapping[str, int] = {"item_id": 3, "parent_id": 2, "category": 1}
"""Same item, same product, same category. What has nothing in common has grade 0."""


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
        trust: packages that are imported first, for a checkpoint whose backbone, head or reader they register.
        output: folder for metrics.json.
        split: the split to read; by default `test` where the catalogue has one, else `val`.
        roles: `given` by the catalogue (where it names none: user photos ask and catalogue images answer, or without
            domains each image does both), `user_to_catalogue` or `leave_one_out`.
        level: `item` ranks items; `image` ranks images.
        aggregate: with `item`, whether an item's score is its `best` image's or the cosine with the `mean` of them.
        exclude: a column; gallery images that share the query's value of it (its photo session, its video) are left
            out of its ranking.
        merge_queries: a column; query images that share a value of it (photos of one request) are one query, which is
            searched with the mean of their embeddings.
        listed_after: ISO date; only queries of items that were listed after it, in the whole gallery.
        metrics: metric -> its Ks.
        grades: column -> grade of a result that shares the query's value of it; 0 for none. The item's is the highest.
        gain: of a grade g in graded NDCG, `exponential` (2^g - 1) or `linear` (g).
        memory_mb: working memory of the search, in MiB beyond the vectors.
        batch: images embedded at once.
        pictures: queries in the picture of results; 0 makes none.
        report: whether to write report.html, one file with all of it.
        explanations: false positives in the report that are explained; 0 explains none.
        map_images: images on the report's map of the embedding; 0 draws none.
        resamples: most permutations of the paired tests behind re-ranking's intervals; 0 leaves out all intervals,
            slices and over-indexing.
        confidence: of the intervals.
        calibrate: a split, `val` as a rule: the probability that a first result is right is fitted on its queries, and
            measured on those of `split`; null fits none.
        robustness: edits of the query photos (`ROBUSTNESS`), under each of which Recall@1 is measured again; `[all]`
            takes all of them.
        slices: columns to slice by; null takes what the catalogue has, an empty list none.
        rerank: stages after the search, measured beside it.
    """

    checkpoint: str | None = None
    embeddings: str | None = None
    baseline: str | None = None
    model: EncoderSettings = field(default_factory=lambda: EncoderSettings(backbone=""))
    preprocessing: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    seed: int = 0
    trust: list[str] = field(default_factory=list)
    output: str = MISSING
    split: str | None = None
    roles: str = "given"
    level: str = "item"
    aggregate: str = "best"
    exclude: str | None = None
    merge_queries: str | None = None
    listed_after: str | None = None
    metrics: dict[str, list[int]] = field(default_factory=lambda: {name: list(ks) for name, ks in METRICS.items()})
    grades: dict[str, int] = field(default_factory=lambda: dict(GRADES))
    gain: str = "exponential"
    memory_mb: int = 256
    batch: int = 128
    pictures: int = 12
    report: bool = True
    explanations: int = 6
    map_images: int = 1500
    resamples: int = 10_000
    confidence: float = 0.95
    calibrate: str | None = None
    robustness: list[str] = field(default_factory=list)
    slices: list[str] | None = None
    rerank: RerankSettings = field(default_factory=RerankSettings)
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
        problems += _protocol_problems(self)
        problems += rerank_problems(self.rerank)
        if self.split not in (None, "train", "val", "test"):
            problems.append(f"`split={self.split}`: must be train, val or test")
        problems += _calibration_problems(self)
        problems += _robustness_problems(self)
        if 0 < self.resamples < 100 or self.resamples < 0:
            problems.append(f"`resamples={self.resamples}`: must be 0 or at least 100")
        if not 0.5 <= self.confidence < 1:
            problems.append(f"`confidence={self.confidence}`: must be from 0.5 to below 1")
        raise_all(
            problems + below(self, "", {"batch": 1, "pictures": 0, "explanations": 0, "map_images": 0, "memory_mb": 16})
        )


def _calibration_problems(settings: EvaluateSettings) -> list[str]:
    fitted = settings.calibrate
    if fitted is None:
        return []
    problems = []
    if fitted not in ("train", "val", "test"):
        problems.append(f"`calibrate={fitted}`: must be train, val or test; val is the one to choose on")
    if fitted == settings.split:
        problems.append(
            f"`calibrate={fitted}` with `split={fitted}`: a probability is measured on other photos than it was fitted "
            "on; evaluate split=test"
        )
    if settings.embeddings is not None:
        problems.append("`calibrate`: a file of embeddings has one set of queries; leave it out")
    if settings.level != "item":
        problems.append(f"`calibrate` with `level={settings.level}`: the service ranks items; set `level=item`")
    return problems


def _robustness_problems(settings: EvaluateSettings) -> list[str]:
    problems = [
        f"`robustness`: {name!r} must be all or one of {', '.join(ROBUSTNESS)}"
        for name in settings.robustness
        if name not in ("all", *ROBUSTNESS)
    ]
    if settings.robustness and (settings.embeddings is not None or settings.baseline == "random"):
        problems.append("`robustness`: photos are edited and embedded anew; give a checkpoint or another baseline")
    if settings.robustness and settings.merge_queries is not None:
        problems.append("`robustness` with `merge_queries`: single photos are edited; leave one of them out")
    return problems


def _protocol_problems(settings: EvaluateSettings) -> list[str]:
    problems = []
    for name, allowed in (
        ("roles", ("given", "user_to_catalogue", "leave_one_out")),
        ("level", ("item", "image")),
        ("aggregate", ("best", "mean")),
        ("gain", ("exponential", "linear")),
    ):
        if (value := getattr(settings, name)) not in allowed:
            problems.append(f"`{name}={value}`: must be {' or '.join(allowed)}")
    if settings.roles != "given" and settings.embeddings is not None:
        problems.append(f"`roles={settings.roles}`: a file of embeddings names its own, in is_query and is_gallery")
    if settings.aggregate == "mean" and settings.level == "image":
        problems.append("`aggregate=mean`: images have no mean; set `level=item`")
    if settings.aggregate == "mean" and settings.exclude is not None:
        problems.append(
            "`aggregate=mean` with `exclude`: items would have another mean for each query; set one of them"
        )
    problems += [
        f"`metrics.{name}={ks}`: must be whole numbers from 1, of one of {', '.join(METRICS)}"
        for name, ks in settings.metrics.items()
        if name not in METRICS or any(k < 1 for k in ks)
    ]
    highest = max(settings.grades.values(), default=0)
    if any(not 0 <= grade <= 100 for grade in settings.grades.values()):
        problems.append(f"`grades={dict(settings.grades)}`: grades are whole numbers from 0 to 100")
    if settings.grades.get("item_id", 0) < max(1, highest):
        problems.append(f"`grades={dict(settings.grades)}`: item_id must have the highest grade")
    try:
        datetime.fromisoformat(settings.listed_after or "2000-01-01")
    except ValueError:
        problems.append(f"`listed_after={settings.listed_after}`: not an ISO date such as 2024-06-30")
    return problems


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
