"""Settings of `python -m src.pipelines.batch`."""

from dataclasses import dataclass, field

from src.catalog.audit import is_remote
from src.catalog.quality.limits import QualityLimits
from src.contracts.settings import IndexSettings
from src.contracts.settings._problems import below, raise_all
from src.contracts.settings.data import MISSING, DataSettings

__all__ = ["ENGINES", "BatchSettings", "EngineSettings"]

ENGINES = ("in_process", "pool", "spark")


@dataclass
class EngineSettings:
    """What runs the stages.

    Attributes:
        name: `in_process` decodes in threads ahead of the encoder; `pool` has a process a core, each with an encoder;
            `spark` runs the stages in Spark.
        workers: processes of the pool; 0 takes one a core.
        master: of Spark: `local[N]`, or a cluster's address.
        conf: further settings of Spark, `NAME=VALUE` each.
        task_rows: rows of one task: what is done again where a worker dies.
        batch: images embedded at once.
        batch_mb: most MiB of files or pixels in one batch.
        read_threads: files that a worker reads at once.
        commit_rows: rows after which what was made is committed; a run that was killed repeats at most so many.
    """

    name: str = "in_process"
    workers: int = 0
    master: str = "local[2]"
    conf: list[str] = field(default_factory=list)
    task_rows: int = 1024
    batch: int = 32
    batch_mb: int = 64
    read_threads: int = 16
    commit_rows: int = 20_000

    def problems(self) -> list[str]:
        """What cannot work, a line each."""
        least = {"workers": 0, "task_rows": 1, "batch": 1, "batch_mb": 1, "read_threads": 1, "commit_rows": 1}
        problems = below(self, "engine", least)
        if self.name not in ENGINES:
            problems.append(f"`engine.name={self.name}`: must be one of {', '.join(ENGINES)}; set `engine=NAME`")
        if self.name != "spark" and self.conf:
            problems.append(f"`engine.conf={self.conf}`: only Spark takes it; set `engine=spark`, or leave it out")
        problems += [f"`engine.conf`: {one!r} must be NAME=VALUE" for one in self.conf if "=" not in one]
        return problems

    def spark_conf(self) -> dict[str, str]:
        """Further settings of Spark by name."""
        pairs = (one.partition("=") for one in self.conf)
        return {name.strip(): value.strip() for name, _, value in pairs}


@dataclass
class BatchSettings:
    """`python -m src.pipelines.batch`.

    Attributes:
        bundle: the bundle whose encoder embeds; it needs no index.
        output: folder, or URI such as `s3://BUCKET/PATH`, of the tables.
        publish: folder of the bundle that is built of the stored embeddings; empty builds none. May be `bundle` itself.
        trust: packages that are imported first, for a reader that they register.
        data: the catalogue; what the encoder was trained on unless overridden.
        engine: what runs the stages.
        runtime: of the encoder: `auto`, or one of `src.export.runtime.RUNTIMES`.
        check_quality: whether pictures are judged; else only those that cannot be decoded go to quarantine.
        quality: the limits by which they are judged.
        duplicates: of images with the same content, `keep` makes all searchable, `keep_oldest` the oldest (by
            `listed_at`, then by id); the others are counted as dropped.
        keep_pixels: whether normalised images are stored, 3 x size x size bytes each before compression.
        attempts: how often an image is read until the failure counts.
        max_quarantined: the largest share of the rows that may be in quarantine; above it no bundle is built.
        index: the vector index of the bundle.
        thumbnail: longer side of the bundle's pictures, in pixels.
        samples: pictures of each reason of quarantine in the summary.
    """

    bundle: str = MISSING
    output: str = MISSING
    publish: str = ""
    trust: list[str] = field(default_factory=list)
    data: DataSettings = field(default_factory=DataSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    runtime: str = "auto"
    check_quality: bool = True
    quality: QualityLimits = field(default_factory=QualityLimits)
    duplicates: str = "keep"
    keep_pixels: bool = True
    attempts: int = 3
    max_quarantined: float = 0.1
    index: IndexSettings = field(default_factory=IndexSettings)
    thumbnail: int = 256
    samples: int = 6

    def check(self) -> None:
        """Raise `ConfigError` with everything that cannot work."""
        problems = below(self, "", {"attempts": 1, "thumbnail": 16, "samples": 0})
        if not 0 <= self.max_quarantined <= 1:
            problems.append(f"`max_quarantined={self.max_quarantined}`: must lie in 0..1")
        if self.duplicates not in ("keep", "keep_oldest"):
            problems.append(f"`duplicates={self.duplicates}`: must be keep or keep_oldest")
        if is_remote(self.publish):
            problems.append(f"`publish={self.publish}`: a bundle is a folder of this machine; name one, and copy it")
        raise_all(problems + self.engine.problems() + self.index.problems())
