"""Small settings: what the documented commands are given besides, so that each takes a second or two.

It imports nothing but the standard library: `small_python.py` reads it in an interpreter that has nothing else.
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["ARGUMENTS", "SHOP", "VIT", "small"]

SHOP = ("data.shop.parents=24", "data.shop.image_size=48", "data.shop.sessions=300")

_RESNET = ("model.backbone_kwargs.channels=[8,8,16,16]", "model.hidden_dim=16", "model.embedding_dim=16")
VIT = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 2}
"""What a ViT is built with."""
_VIT = ("model.pretrained=false", *(f"++model.backbone_kwargs.{name}={value}" for name, value in VIT.items()))

ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "benchmarks.catalog_quality": ("--parents", "10", "--images", "70", "--processes", "1"),
    "benchmarks.confidence": ("--queries", "200", "--permutations", "100", "--rounds", "1"),
    "benchmarks.decoding_memory": ("--side", "200"),
    "benchmarks.duplicates": (
        *("--parents", "10", "--images", "4", "--processes", "1", "--size", "32"),
        *("--backbone", "resnet10t", "--weights", ""),
    ),
    "benchmarks.embeddings": (),
    "benchmarks.encoders": ("--seconds", "0.01", "--images", "24", "--new"),
    "benchmarks.filter_masks": ("--rows", "2000"),
    "benchmarks.filtered_search": ("--rows", "2000", "--dim", "16", "--queries", "4"),
    "benchmarks.gpu": ("--only", "machine", "exact search"),
    "benchmarks.grocery": ("--only", "plain loop, triplet", "--seeds", "1"),
    "benchmarks.hard_negatives": (
        *("--arms", "random", "clicks: loss, batches and pairs", "--seeds", "1", "--epochs", "1", "--more-epochs", "1"),
        *("--parents", "24", "--sessions", "300"),
    ),
    "benchmarks.label_errors": ("--planted", "4", "--repeats", "2"),
    "benchmarks.live_changes": ("--rows", "2000", "--dim", "16", "--changed", "30", "--queries", "20"),
    "benchmarks.losses": ("--batches", "32", "--dim", "16", "--rounds", "1"),
    "benchmarks.metrics_contestants": (),
    "benchmarks.monitoring.drift_tails": ("--draws", "1000"),
    "benchmarks.monitoring.drift_null": (
        *("--windows", "2", "--sizes", "100", "--repeats", "1", "--evidently", "0", "--references", "1"),
        *("--images", "200", "--parents", "10", "--photos", "60"),
    ),
    "benchmarks.metrics_scale": ("--images", "300", "--large", "400", "--queries", "50", "--dim", "16"),
    "benchmarks.monitoring.ab_null": ("--runs", "1", "--processes", "1"),
    "benchmarks.monitoring.interleaving": ("--users", "30", "--noises", "0.1", "--parents", "12"),
    "benchmarks.null_simulations": ("--simulations", "2", "--processes", "1"),
    "benchmarks.pipelines.kills": (),
    "benchmarks.pipelines.online_embeddings": ("--images", "500", "--look-ups", "20", "--dim", "16"),
    "benchmarks.pipelines.point_in_time": ("--facts", "1100", "--labels", "200", "--dim", "16", "--rounds", "1"),
    "benchmarks.pipelines.throughput": (),
    "benchmarks.plain_loops": ("--epochs", "1", "--steps", "2"),
    "benchmarks.preprocessing": ("--count", "4"),
    "benchmarks.racing_risk": ("--simulations", "2", "--processes", "1"),
    "benchmarks.searcher": ("--items", "500"),
    "benchmarks.training_path": (
        *("preprocessing.size=32", "trainer.accelerator=cpu", "data.p=4", "data.k=2", *SHOP, *_RESNET),
    ),
    "benchmarks.training_speed": (
        *("--rounds", "1", "--steps", "2", "--parents", "80", "--size", "32", "--backbone", "resnet10t"),
    ),
    "serve": ("--port", "0"),
    "src.catalog.check_images": ("--workers", "1"),
    "src.catalog.duplicates.bands": (),
    "src.datamodules.benchmark": ("--images", "32"),
    "src.eval.compare": ("--resamples", "200"),
    "src.eval.explanations.check": ("--pairs", "8", "--randomised", "4"),
    "src.eval.label_errors": (),
    "src.export.diff": (),
    "src.export.publish": (),
    "src.export.sign": (),
    "src.export.verify": (),
    "src.index.capacity": (),
    "src.index.digest": (),
    "src.index.milvus_collections": (),
    "src.pipelines.backfill": ("check_quality=false", "index.min_recall=0", "runtime=onnxruntime"),
    # Pictures of 48 pixels are too small to be judged.
    "src.pipelines.batch": ("check_quality=false", "index.min_recall=0", "runtime=onnxruntime"),
    "src.pipelines.co_clicks": ("--min-support", "1"),
    "src.monitoring.report": (),
    "src.index.study": ("--queries", "20", "--layouts", "exact,hnsw_fp16", "--nlist", "8"),
    "src.monitoring.experiment": (),
    "src.monitoring.online": ("--reference", "3", "--tolerance", "0.9"),
    "src.monitoring.simulate": ("--users", "300", "--days", "3", "--before", "3", "--parents", "12"),
}
"""What `python -m MODULE` gets; an option that was given already is left out."""


def small(arguments: Sequence[str]) -> list[str]:
    """Arguments of `python`, with small settings where they are of a command of ours.

    Raises:
        KeyError: a module of ours for which there are none.
    """
    if not arguments:
        return []
    program, *given = arguments
    for script, settings in {"train.py": _training, "evaluate.py": _evaluation, "export.py": _export}.items():
        if program.endswith(script):
            overrides = [word for word in given if "=" in word]
            return [program, *overrides, *settings(overrides), *(word for word in given if "=" not in word)]
    module = given[0] if program == "-m" and given else ""
    # A name with an underscore is that of a process which a program of ours starts.
    if not re.match(r"(src|serve|benchmarks)\b", module) or "._" in module:
        return [*arguments]
    given = given[1:]
    if module == "src.index.capacity":
        return ["-m", module, *_capacity(given)]
    if "--help" in given:
        return [*arguments]
    if module == "src.index.study":
        given = [re.sub(r"^\d+x\d+$", "1000x16", word) for word in given]
    return ["-m", module, *_without(given, ARGUMENTS[module]), *ARGUMENTS[module]]


def _without(given: Sequence[str], options: Sequence[str]) -> list[str]:
    """Leave options out, with their values."""
    kept, dropping = [], False
    for word in given:
        if word.startswith("--"):
            dropping = word in options
        if not dropping:
            kept.append(word)
    return kept


def _training(given: Sequence[str]) -> list[str]:
    values = dict(word.split("=", 1) for word in given if "=" in word)
    recipe, network = values.get("experiment", ""), values.get("model", "")
    wanted = ["preprocessing.size=32", "trainer.accelerator=cpu", "data.p=4"]
    if "debug" not in values:  # which chooses its own steps
        wanted.append("trainer.lightning.limit_train_batches=4")
    if "," not in values.get("data.k", ""):
        wanted.append("data.k=2")
    if values.get("trainer.epochs") != "0":
        wanted += ["trainer.epochs=1", "trainer.patience=1", "trainer.validate_every=1"]
    wanted += _shop(values, simulated=recipe in ("demo", "my_experiment") or values.get("data") == "shop")
    if recipe == "demo":
        wanted += _RESNET
    elif network.startswith("vit") or recipe.startswith("hyp_vit") or not (recipe or network):
        wanted += _VIT
    if values.get("sampler") == "category":
        wanted.append("sampler.together=2")
    if values.get("sampler") == "neighbours" and values.get("neighbours.every") != "0":
        wanted.append("neighbours.first_epoch=0")
    if "sweep" in values:
        wanted.append("hydra.sweeper.trials=1")
    if values.get("sweep") == "racing":
        wanted.append("hydra.sweeper.rungs=[0.5]")
    if recipe == "grocery" and values.get("optim.interpolate") != "[]" and values.get("model.head") != "linear":
        wanted.append("optim.interpolate=[0.5]")
    return wanted


def _evaluation(given: Sequence[str]) -> list[str]:
    words = " ".join(given)
    wanted = ["explanations=1", "map_images=60", "pictures=1"]
    if "resamples=0" not in given:
        wanted.append("resamples=200")
    wanted += _shop(dict(word.split("=", 1) for word in given), simulated="data=shop" in given)
    if "calibrate=val" in given:  # Twenty products of validation.
        wanted += ["data.root=data/calibrated", "data.shop.parents=220", "data.shop.image_size=32"]
    if "baseline=pretrained" in given:
        wanted.append("preprocessing.size=32")
        if "model.weights=" not in words:
            wanted += ["model.pretrained=false", "model.weights=../shared/weights/mobilenetv2_100_imagenet.safetensors"]
    return wanted


def _shop(values: Mapping[str, str], *, simulated: bool) -> tuple[str, ...]:
    """A small shop, unless the one that is named is as small."""
    parents = values.get("data.shop.parents")
    return SHOP if parents not in (None, "24") or (simulated and not parents) else ()


def _export(given: Sequence[str]) -> list[str]:
    wanted = ["parity_images=4", "overlap_images=24", "calibration_images=8", "thumbnail=32"]
    if "precision=int8" in given:
        # Weights that were hardly trained do not bear eight bits.
        wanted += ["gates.int8_centred_cosine=-1", "gates.min_overlap=0"]
    return wanted


def _capacity(given: Sequence[str]) -> list[str]:
    """Its keys may be given once only."""
    sizes = {"dim": "16"}
    if given and given[0] == "measure":
        sizes |= {"sizes": "1e3,2e3,3e3", "queries": "50"}
    if given and given[0] == "growth":
        sizes |= {"upto": "2000"}
    if "--help" in given:
        return [*given]
    return [word for word in given if word.split("=")[0] not in sizes] + [f"{key}={is_}" for key, is_ in sizes.items()]
