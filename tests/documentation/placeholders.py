"""What stands for a name that the reader puts in, and which commands no test machine can run."""

import re
from importlib.util import find_spec
from zlib import crc32

from tests.documentation.commands import Command

__all__ = ["NOT_RUN", "left_over", "typed"]

CHECKPOINT = "outputs/demo/train/checkpoints/best.ckpt"
BUNDLE = "outputs/demo/bundle"

_SUBSTITUTES: tuple[tuple[str, str], ...] = (
    (r"^time ", ""),
    (r" \[(data )?overrides\]", ""),
    (r" \.\.\.(?= |$)", ""),
    # What may be left out is given.
    (r"(?<= )\[([^\]]+)\]", r"\1"),
    (r"\b(experiment=|multirun/)NAME", r"\1demo"),
    (r"\bdata=NAME", "data=shop"),
    (r"--runtime NAME", f"--bundle {BUNDLE} --runtime onnxruntime"),
    (r"\bcheckpoint=PATH", f"checkpoint={CHECKPOINT}"),
    (r"\bCKPT\b", CHECKPOINT),
    (r"\b(FILE|EMBEDDINGS)\.parquet", "vectors.parquet"),
    (r"ITEMS\.parquet", "data/shop/items.parquet"),
    (r"(data=folder data\.root=)(ROOT|PHOTOS)", r"\1photos"),
    (r"(check_images )PHOTOS", r"\1photos"),
    (r"(data=manifest data\.root=)ROOT", r"\1goods"),
    (r"(data=hf data\.root=)FOLDER", r"\1dataset"),
    (r"(data=hf data\.root=)OWNER/NAME", r"\1owner/name"),
    (r"data\.root=OTHER", "data.root=data/other"),
    (r"--(photos|queries) PHOTOS", r"--\1 ../shared/data/grocery_store/val"),
    (r"\bWINDOWS\b", "windows"),
    (r"\bREPORT\b", "report"),
    (r"/data/Stanford_Online_Products", "sop"),
    # An interpreter that has open-metric-learning and an older NumPy.
    (r" --oml-python DIR/bin/python", ""),
    # A column that the shop has.
    (r"exclude=session", "exclude=domain"),
    (r"merge_queries=query_id", "merge_queries=item_id"),
    (r"http://HOST:19530", "http://127.0.0.1:19530"),
    (r"MILVUS_TOKEN=USER:PASSWORD ", "MILVUS_TOKEN=user:password "),
    (r"src\.index\.digest BUNDLE", f"src.index.digest {BUNDLE}"),
    (r"--json FILE", "--json out.json"),
    (r"--markdown FILE", "--markdown out.md"),
    (r"--html FILE", "--html out.html"),
    (r"(--bundle |src\.export\.\w+ )DIR", rf"\1{BUNDLE}"),
    (r"\bOLD NEW\b", f"outputs/older/bundle {BUNDLE}"),
    (r"(compare|label_errors) (RUN RUN|DIR DIR)", r"\1 runs/triplet runs/infonce"),
    (r"bundle=NEW", f"bundle={BUNDLE}"),
    (r"--baseline RUN", "--baseline runs/triplet"),
    (r"\bRUN\b", "runs/it"),
    (r"\bHOW\b", "sampler=neighbours"),
    (r"parents=300, seed=0, image_size=160, sessions=2000", "parents=10, seed=0, image_size=32, sessions=2"),
    (r"items/ITEM/", "items/P00001-1/"),
)
"""Patterns and what takes their place, in this order; `DIR` that is left is an output folder of the command's own."""

NOT_RUN: dict[str, str] = {
    r"make (test|\.venv/\.installed|lint|lock|audit)": "runs these tests or installs packages; --dry-run is run",
    r"(python -m )?pytest ": "these tests are part of this run; that they exist is checked",
    r"(\.venv/bin/)?pip (install|download) ": "downloads packages",
    r"python -m benchmarks\.monitoring\.open_bandit": "needs a wheel of PyPI's; --help is run",
    r".* data\.root=owner/name": "downloads a data set; --help is run",
    r"wandb sync|tensorboard --logdir": "needs a network, or serves until it is stopped; --help is run",
    r"podman |kubectl apply|redis-benchmark ": "needs a container engine, a cluster or Redis; see tests/deploy",
    r"python -m benchmarks\.reduced_decoding": "needs weights of trained networks; --help is run",
    r"python -m benchmarks\.racing$": "trains for half an hour; tests/integration/test_sweep.py races; --help is run",
    r"curl .*/rollback": "needs two bundles that differ; tests/serve/bundle/test_rollout.py does it",
    r".*http://127\.0\.0\.1:19530": "needs a Milvus server, as tests/export/test_milvus_export.py; --help is run",
    r"python -m benchmarks\.milvus\.": "starts Milvus servers; tests/benchmarks/milvus runs them small; --help is run",
    r"python -m src\.pipelines\.(store|training_set)\b": "needs tables; tests/pipelines runs it; --help is run",
    r"curl .*(v1/items( |$)|version=17)": "needs items that replicas share; tests/serve/test_milvus.py has them",
    r"kill ": "the process is the reader's",
    r"python -m src\.monitoring\.report .*--windows": "needs windows that a service wrote; --help is run",
    r"python -m benchmarks\.pipelines\.(kills|throughput)": "starts the batch many times over; --help is run",
    r"python -m src\.pipelines\.backfill": "needs two encoders, as tests/pipelines/test_backfill.py has; --help is run",
    r"python -m src\.pipelines\.batch .*engine=": "as tests/pipelines/test_engines.py does; --help is run",
    r"python -m benchmarks\.gpu$": "needs a GPU; --help is run, and its `--rehearse` on the CPU",
    r"python -m benchmarks\.serving\.": "loads a server, as tests/benchmarks/serving does; its arguments are parsed",
}
"""Patterns of commands that are not run, and why; `check_of` in the test says what is run in their place."""

_WORDS = {"PASSIVE", "PUT", "PATCH", "DELETE", "POST", "GET", "PRIVATE", "PUBLIC"}


def typed(command: Command) -> str:
    """The command line with names in the place of its placeholders."""
    return _filled(command.text, command)


def left_over(text: str) -> list[str]:
    """Placeholders that nothing takes the place of: words of capitals that are no variable."""
    words = re.findall(r"(?<![\w$.-])[A-Z]{2,}(?![\w=(])", text)
    return [word for word in words if word not in _WORDS]


def files_left(command: Command) -> list[str]:
    """The files that the command is said to leave."""
    return [_filled(name, command) for name in command.leaves]


def _filled(text: str, command: Command) -> str:
    for pattern, substitute in _SUBSTITUTES:
        text = re.sub(pattern, substitute, text)
    if find_spec("hnswlib") is None:
        # The extra `bench`, which tests do without.
        text = text.replace(" --peers", "")
    # Equal commands get equal names, and others names of their own.
    return re.sub(r"\bDIR\b", f"out-{crc32(command.text.encode())}", text)
