"""Every option under conf/ composes, passes its checks, and what it names can be made and used."""

import json
import re
import tarfile
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from hydra.utils import instantiate
from lightning.pytorch.loggers import Logger
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydra_plugins.lookalike_study._space import search_space
from hydra_plugins.lookalike_study.sweeper import StudySweeper
from src import commandline as command_line
from src.catalog.catalogue import open_catalogue
from src.commandline import CONF
from src.contracts.errors import CatalogueError, ConfigError, LookalikeError
from src.contracts.settings import METRICS, EvaluateSettings, ExportSettings, TrainSettings, complete_data
from src.datamodules.augmentation import STRENGTHS
from src.datamodules.training_set import Facts, TrainingSet, training_set
from src.eval.logged_metrics import computed, direction, made_metrics
from src.losses.build import build_objective
from src.models.checkpoint import make_card, method_of
from src.models.encoder import build_encoder
from src.pipelines.engines import make_engine
from src.pipelines.settings import BatchSettings
from src.tracking.loggers import run_arguments
from tests.pictures import encode, smooth_picture

SCHEMAS = {"train": TrainSettings, "evaluate": EvaluateSettings, "export": ExportSettings, "batch": BatchSettings}
SHOP = ["data.shop.parents=20", "data.shop.image_size=32", "data.shop.sessions=5"]


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def composed(name: str, *overrides: str, output: Path | None = None) -> Any:
    """What the command line gets for these overrides."""
    runtime = [f"hydra.runtime.output_dir={output}"] if output else []
    later = None if name == "train" else "data"
    return command_line.composed(SCHEMAS[name], name, *overrides, *runtime, completed_later=later)


def test_no_option_is_forgotten_here() -> None:
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert groups == {
        "augmentation", "callbacks", "data", "debug", "engine", "experiment", "head", "logger", "loss", "metric",
        "miner", "model", "optimizer", "preprocessing", "sampler", "scheduler", "sweep",
    }  # fmt: skip
    assert {path.stem for path in CONF.glob("*.yaml")} == set(SCHEMAS)
    for group in groups:
        assert options(group), group


@pytest.mark.parametrize("name", options("engine"))
def test_each_engine_is_made(name: str) -> None:
    settings = composed("batch", f"engine={name}", "bundle=b", "output=o")
    assert settings.engine.name == name
    assert make_engine(settings.engine)


def test_spark_gets_settings_of_its_own() -> None:
    given = ["engine=spark", 'engine.master="local[8]"', 'engine.conf=["spark.driver.memory=2g"]']
    settings = composed("batch", *given, "bundle=b", "output=o")
    assert (settings.engine.master, settings.engine.spark_conf()) == ("local[8]", {"spark.driver.memory": "2g"})
    with pytest.raises(ConfigError, match=r"'spark\.ui' must be NAME=VALUE"):
        composed("batch", *given[:2], "engine.conf=[spark.ui]", "bundle=b", "output=o")
    with pytest.raises(ConfigError, match="only Spark takes it"):
        composed("batch", given[2], "bundle=b", "output=o")


@pytest.mark.parametrize("name", options("experiment"))
def test_each_experiment_is_complete(name: str, tmp_path: Path) -> None:
    settings = composed("train", f"experiment={name}", output=tmp_path)
    assert settings.name == name
    assert settings.preprocessing.hash
    assert settings.trainer.epochs >= 1
    overridden = composed("train", f"experiment={name}", "trainer.epochs=3", "data.k=5", output=tmp_path)
    assert (overridden.trainer.epochs, overridden.data.k) == (3, 5)


@pytest.mark.parametrize("name", options("experiment"))
def test_each_experiment_s_parts_are_made(name: str, tmp_path: Path) -> None:
    settings = composed("train", f"experiment={name}", output=tmp_path)
    model = {**asdict(settings.model), "pretrained": False, "weights": None}
    encoder = build_encoder(spec=settings.preprocessing, **model)
    arguments = asdict(settings.objective)
    objective = build_objective(
        settings.loss, settings.miner, make=instantiate, images=IMAGES, dim=encoder.dim, **arguments
    )
    raw = torch.randn(24, encoder.dim, generator=torch.Generator().manual_seed(0), requires_grad=True)
    columns = IMAGES.items, np.arange(24), IMAGES.parents, IMAGES.categories, IMAGES.domains
    facts = Facts(*(torch.from_numpy(column) for column in columns))
    objective(torch.nn.functional.normalize(raw), facts).backward()
    assert torch.isfinite(raw.grad).all()
    assert raw.grad.abs().sum() > 0


ITEMS = np.arange(24) // 4
IMAGES = TrainingSet(
    rows=np.arange(24), items=ITEMS, parents=ITEMS // 2, categories=ITEMS // 4, domains=np.arange(24) % 2
)


def takes_a_step(*overrides: str) -> None:
    """Compose, build, and descend the objective twice; the second batch meets what the first left in a memory."""
    settings = composed("train", "data=shop", "data.p=6", "data.k=4", *overrides, output=Path("unused"))
    arguments = asdict(settings.objective)
    objective = build_objective(settings.loss, settings.miner, make=instantiate, images=IMAGES, dim=8, **arguments)
    raw = torch.randn(24, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)
    columns = IMAGES.items, np.arange(24), IMAGES.parents, IMAGES.categories, IMAGES.domains
    facts = Facts(*(torch.from_numpy(column) for column in columns))
    for _ in range(2):
        before = [weights.detach().clone() for weights in (raw, *objective.parameters())]
        value = objective(torch.nn.functional.normalize(raw), facts)
        value.backward()
        assert torch.isfinite(value)
        with torch.no_grad():
            for weights, old in zip((raw, *objective.parameters()), before, strict=True):
                weights -= 0.1 * weights.grad
                weights.grad = None
                assert torch.isfinite(weights).all()
                assert not torch.equal(weights, old)


@pytest.mark.parametrize("name", options("loss"))
def test_each_loss_trains(name: str) -> None:
    takes_a_step(f"loss={name}", "miner=none")


PAIR_LOSSES = ["triplet", "triplet_soft", "infonce", "supcon", "multi_similarity", "circle"]
PAIRS = ["objective.pairs=cross_domain", "objective.variants=ignored", "objective.memory=32"]


@pytest.mark.parametrize("miner", options("miner"))
def test_each_miner_serves_each_loss_over_pairs(miner: str) -> None:
    # One that takes triplets and one that takes pairs.
    for name in ("triplet", "multi_similarity"):
        takes_a_step(f"loss={name}", f"miner={miner}")
        takes_a_step(f"loss={name}", f"miner={miner}", *PAIRS)


@pytest.mark.parametrize("name", [*PAIR_LOSSES, "recall_at_k", "multi_similarity_and_proxy_anchor"])
def test_each_loss_over_pairs_takes_memory_and_restrictions(name: str) -> None:
    takes_a_step(f"loss={name}", "miner=none", *PAIRS)


def test_a_term_of_a_sum_is_changed_by_its_name(tmp_path: Path) -> None:
    overrides = ["loss=multi_similarity_and_proxy_anchor", "miner=none", "loss.terms.proxies.weight=0.5"]
    settings = composed("train", "data=shop", *overrides, "loss@loss.terms.pairs.loss=circle", output=tmp_path)
    assert settings.loss["terms"]["proxies"]["weight"] == 0.5
    assert settings.loss["terms"]["pairs"]["loss"]["_target_"].endswith("CircleLoss")
    card = make_card(settings)
    assert card["loss"]["terms"]["pairs"]["loss"] == {"name": "CircleLoss", "m": 0.4, "gamma": 80.0}


@pytest.mark.parametrize("name", options("sampler"))
def test_each_sampler_draws_batches(name: str, tmp_path: Path) -> None:
    settings = composed("train", "data=shop", f"sampler={name}", output=tmp_path)
    rng = np.random.default_rng(0)
    items = np.repeat(np.arange(40), 5)
    columns = (np.arange(200), items, items // 2, items // 10, rng.integers(0, 2, 200))
    sampler = instantiate(settings.sampler)(TrainingSet(*columns), p=settings.data.p, k=settings.data.k, seed=0)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 200 // 64
    assert all(len(set(items[batch])) == 16 for batch in batches)


@pytest.mark.parametrize("name", options("model"))
def test_each_model_is_built(name: str, tmp_path: Path) -> None:
    settings = composed("train", "data=shop", f"model={name}", "preprocessing.size=32", output=tmp_path)
    arguments = {**asdict(settings.model), "pretrained": False, "weights": None}
    encoder = build_encoder(spec=settings.preprocessing, **arguments).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8))
    with torch.inference_mode():
        assert encoder(pixels).shape == (2, settings.model.embedding_dim)


SMALL = ["model=resnet10_small", "model.backbone_kwargs.channels=[8,8,16,16]", "preprocessing.size=32"]
SIZES = ["model.hidden_dim=6", "model.embedding_dim=8"]


@pytest.mark.parametrize("name", options("head"))
def test_each_head_is_that_of_its_name(name: str, tmp_path: Path) -> None:
    chosen = composed("train", "data=shop", *SMALL, *SIZES, f"head={name}", output=tmp_path)
    named = composed("train", "data=shop", *SMALL, *SIZES, f"model.head={name}", output=tmp_path)
    assert chosen.model.head["_target_"].startswith("src.models.heads.")
    torch.manual_seed(0)
    encoder = build_encoder(spec=chosen.preprocessing, **asdict(chosen.model))
    torch.manual_seed(0)
    same = build_encoder(spec=named.preprocessing, **asdict(named.model))
    assert type(encoder.head) is type(same.head)
    pairs = zip(encoder.state_dict().values(), same.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    # Without import paths, and of one method with runs of before there were files.
    card = make_card(chosen)
    assert card["model"]["head"] == ({"_target_": "gem", "p": 3.0} if name == "gem" else name)
    assert name == "gem" or method_of(card) == method_of(make_card(named))


def test_heads_are_chosen_over_the_model_s_and_by_experiments(tmp_path: Path) -> None:
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "by_file.yaml").write_text("# @package _global_\ndefaults: [{override /head: linear}]\n")
    (folder / "by_name.yaml").write_text("# @package _global_\nmodel: {head: linear}\n")
    given = ["data=shop", f"hydra.searchpath=['file://{tmp_path / 'conf'}']"]
    linear = {"_target_": "src.models.heads.LinearHead"}
    assert composed("train", *given, "experiment=by_file", output=tmp_path).model.head == linear
    assert composed("train", *given, "experiment=by_file", "model.head=none", output=tmp_path).model.head == "none"
    gem = composed("train", *given, "experiment=by_file", "head=gem", "model.head.p=4", output=tmp_path).model.head
    assert gem == {"_target_": "src.models.heads.GeMHead", "p": 4}
    assert composed("train", *given, "experiment=by_name", output=tmp_path).model.head == "linear"
    with pytest.raises(
        LookalikeError, match=r"`head=gem`: the experiment sets `model\.head=linear`.*`model\.head=gem`"
    ):
        composed("train", *given, "experiment=by_name", "head=gem", output=tmp_path)


@pytest.mark.parametrize("name", options("preprocessing"))
def test_each_preprocessing_is_a_spec(name: str, tmp_path: Path) -> None:
    spec = composed("train", "data=shop", f"preprocessing={name}", output=tmp_path).preprocessing
    assert name == "as_weights" or spec.size == int(name.rsplit("_", 1)[1])
    assert type(spec).from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("name", options("logger"))
def test_each_logger_is_made(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    settings = composed("train", "data=shop", f"logger={name}", output=tmp_path)
    card = make_card(settings)
    loggers = [instantiate(logger, **run_arguments(logger, card)) for logger in settings.logger.values()]
    assert loggers
    assert all(isinstance(logger, Logger) for logger in loggers)
    # Scalars always go to a file of the run as well.
    assert "csv" in settings.logger
    assert Path(loggers[0].log_dir) == tmp_path / "log"


def test_several_loggers_stand_beside_each_other(tmp_path: Path) -> None:
    settings = composed("train", "data=shop", "logger=[wandb,tensorboard,mlflow]", output=tmp_path)
    assert {*settings.logger} == {"csv", "wandb", "tensorboard", "mlflow"}
    # A run is named after what its command line changes.
    settings = composed("train", "data=shop", "logger=[wandb,mlflow]", "loss=triplet", "optim.lr=3e-4", output=tmp_path)
    assert settings.logger["wandb"]["name"] == settings.logger["mlflow"]["run_name"] == "shop, triplet, lr 3e-4, seed 0"


@pytest.mark.parametrize("name", options("sweep"))
def test_each_sweep_is_complete(name: str, tmp_path: Path) -> None:
    asked = ["experiment=demo", f"sweep={name}", "hydra.sweeper.trials=7", "hydra.sweeper.seeds=[3,4]"]
    command_line.register_schema(TrainSettings, "train")
    with initialize_config_dir(config_dir=str(CONF), version_base="1.3"):
        config = compose("train", overrides=asked, return_hydra_config=True)
    assert config.hydra.mode == RunMode.MULTIRUN
    HydraConfig.instance().set_config(config)
    assert config.hydra.sweep.dir == f"multirun/demo/{name}"
    values = OmegaConf.to_container(config.hydra.sweeper)
    sweeper = StudySweeper(**{key: value for key, value in values.items() if key != "_target_"})
    sweeper.settings.check()
    assert (sweeper.settings.trials, sweeper.settings.seeds) == (7, [3, 4])
    space, _ = search_space(OverridesParser.create(), sweeper.settings, ["data.k=2,4"])
    for key in sweeper.settings.params:
        assert key in space
        assert OmegaConf.select(config, key) is not None


@pytest.mark.parametrize("strength", ["none", *STRENGTHS])
def test_each_augmentation_is_accepted(strength: str, tmp_path: Path) -> None:
    assert composed("train", "data=shop", f"data.augmentation={strength}", output=tmp_path)


def test_a_schedule_of_unfreezing_has_whole_numbers(tmp_path: Path) -> None:
    asked = ["data=shop", "optim.freeze=4", "optim.unfreeze={1: 2, 3: 0}"]
    optim = composed("train", *asked, output=tmp_path).optim
    assert (optim.freeze, optim.unfreeze) == (4, {1: 2, 3: 0})
    with pytest.raises(LookalikeError, match="fewer frozen stages"):
        composed("train", "data=shop", "optim.unfreeze={1: 0}", output=tmp_path)


@pytest.mark.parametrize("name", options("metric"))
def test_each_metric_is_made_and_measures(name: str, tmp_path: Path) -> None:
    # Each beside the default one, and by itself where what is monitored is its own.
    monitor = {"item": "recall@1", "image": "image/map@r", "worst_category": "worst_category"}[name]
    for choice in (f"metric={name}", f"metric=[item,{name}]"):
        settings = composed("train", "data=shop", choice, f"metric.monitor={monitor}", output=tmp_path)
        metrics = made_metrics(settings.metric, instantiate)
        assert direction(metrics, settings.metric) == "max"
        rng = np.random.default_rng(0)
        facts = {
            "vectors": torch.from_numpy(rng.standard_normal((80, 4)).astype(np.float32)),
            "item_ids": torch.arange(80) // 2,
            "image_ids": torch.arange(80),
            "columns": {column: torch.arange(80) // 20 for column in ("category", "parent_id")},
            "slices": {"category": torch.arange(80) // 20},
        }
        for metric in metrics.values():
            metric.update(**facts)
        values = computed(metrics)
        assert 0 <= values[monitor] <= 1
        assert ("recall@1" in values) == ("item" in choice)


def test_the_default_metrics_are_evaluation_s(tmp_path: Path) -> None:
    settings = composed("train", "data=shop", output=tmp_path)
    (metric,) = made_metrics(settings.metric, instantiate).values()
    at_k = [f"{name}@{k}" for name, ks in METRICS.items() for k in ks]
    assert metric.names == (*at_k, "map@r", "r_precision", "mrr", "queries", "queries_without_positives")
    # A card says what chose its checkpoint where it is not what always did.
    assert "metric" not in make_card(settings)
    other = composed("train", "data=shop", "metric.monitor=mrr", output=tmp_path)
    assert make_card(other)["metric"]["monitor"] == "mrr"
    worst = ["metric=worst_category", "metric.monitor=worst_category", "metric.logged.worst_category.metric=mrr"]
    logged = make_card(composed("train", "data=shop", *worst, output=tmp_path))["metric"]["logged"]
    assert logged == {
        "worst_category": {"name": "RetrievalMetric", "metric": "mrr", "worst_of": "category", "fewest_items": 5}
    }
    assert "src." not in str(make_card(other))


def write_photos(root: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(encode(smooth_picture(12, 12, seed=number), "PNG"))


def test_data_folder_reads_a_folder(tmp_path: Path) -> None:
    write_photos(tmp_path, [f"{label}/{n}.png" for label in ("007", "010", "b") for n in range(2)])
    settings = composed("train", "data=folder", f"data.root={tmp_path}", output=tmp_path)
    assert settings.name == "folder"
    items = open_catalogue(settings.data).items
    assert items["item_id"].to_pylist() == ["007", "007", "010", "010", "b", "b"]


def test_data_manifest_reads_a_mapped_manifest(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    (tmp_path / "list.csv").write_text("sku,file,part,kind\n007,a.png,dev,shot\n007,b.png,dev,pack\n")
    settings = composed(
        "train",
        "data=manifest",
        f"data.root={tmp_path}",
        "data.manifest=list.csv",
        "data.columns={item_id: sku, image: file, split: part, domain: kind}",
        "data.splits.dev=val",
        "data.domains.shot=user",
        "data.domains.pack=catalogue",
        output=tmp_path,
    )
    catalogue = open_catalogue(settings.data, need_gallery=True)
    assert catalogue.query_rows("val").tolist() == [0]
    assert catalogue.gallery_rows("val").tolist() == [1]


def test_data_manifest_reads_another_countrys_csv(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    (tmp_path / "list.csv").write_bytes(
        "item_id;image;price;brand\n7;a.png;1,50;Caf\u00e9\n7;b.png;;\n".encode("cp1252")
    )
    settings = composed(
        "train",
        "data=manifest",
        f"data.root={tmp_path}",
        "data.manifest=list.csv",
        "data.csv.delimiter=semicolon",
        "data.csv.encoding=cp1252",
        "data.csv.decimal=comma",
        "data.split_by=product",
        output=tmp_path,
    )
    items = open_catalogue(settings.data).items.select(["price", "brand"])
    assert items.to_pydict() == {"price": [1.5, None], "brand": ["Caf\u00e9", None]}


@pytest.mark.parametrize(
    "theirs", ["train set", "2024/25", "1.0", "Prüfung", "a=b, c", 'say "x"', "back\\slash", "end\\", "true", ""]
)
def test_any_value_of_a_split_can_be_named_as_the_message_says(tmp_path: Path, theirs: str) -> None:
    write_photos(tmp_path, ["a.png", "b.png"])
    pq.write_table(
        pa.table({"item_id": ["1", "1"], "image": ["a.png", "b.png"], "split": [theirs, "val"]}), tmp_path / "x.parquet"
    )
    overrides = ["data=manifest", f"data.root={tmp_path}", "data.manifest=x.parquet"]
    if not theirs:  # a missing one
        open_catalogue(composed("train", *overrides, output=tmp_path).data)
        return
    with pytest.raises(CatalogueError) as caught:
        open_catalogue(composed("train", *overrides, output=tmp_path).data)
    (given,) = re.findall(r"'(data\.splits=.*)'", str(caught.value))
    settings = composed("train", *overrides, given, output=tmp_path)
    assert open_catalogue(settings.data).items["split"].to_pylist() == ["train", "val"]


def test_pairs_that_are_none_are_refused(tmp_path: Path) -> None:
    for pairs in ("[a]", "[[a]]", "[[a,b,c]]", "[[a,[b]]]"):
        with pytest.raises(ConfigError, match=r"`data.domain_pairs`: .* is no pair; write \[\[THEIRS,OURS\]"):
            composed("train", "data=folder", f"data.root={tmp_path}", f"data.domain_pairs={pairs}", output=tmp_path)


def test_data_hf_reads_a_hugging_face_data_set_with_a_root_alone(tmp_path: Path) -> None:
    features = {"photo": {"_type": "Image"}, "sku": {"_type": "ClassLabel", "names": ["shoe", "hat"]}}
    (tmp_path / "set" / "data").mkdir(parents=True)
    for split, labels in (("train", [1]), ("validation", [0, 0]), ("unlabelled", [-1])):
        images = [{"bytes": encode(smooth_picture(12, 12, seed=n + 1), "PNG"), "path": "image.png"} for n in labels]
        table = pa.table({"photo": images, "sku": labels})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet")
    overrides = ["data=hf", f"data.root={tmp_path / 'set'}", f"data.cache={tmp_path / 'cache'}"]
    settings = composed("train", *overrides, "data.splits.unlabelled=none", output=tmp_path)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    assert catalogue.items["item_id"].to_pylist() == ["hat", "shoe", "shoe"]
    assert catalogue.train_rows().tolist() == [0]
    assert catalogue.query_rows("val").tolist() == [1, 2]
    assert catalogue.picture(0).shape == (12, 12, 3)


def test_frames_of_a_video_are_drawn_apart_with_data_manifest(tmp_path: Path) -> None:
    lines = ["sku,file,clip,split"] + [f"7,{n}.png,clip-{n // 4},train" for n in range(8)] + ["8,v.png,c,val"]
    write_photos(tmp_path, [f"{n}.png" for n in (*range(8), "v")])
    (tmp_path / "frames.csv").write_text("\n".join(lines))
    columns = "data.columns={item_id: sku, image: file, sequence: clip}"
    overrides = ["data=manifest", f"data.root={tmp_path}", "data.manifest=frames.csv", columns, "sampler.apart=true"]
    settings = composed("train", *overrides, "data.k=2", output=tmp_path)
    sampler = instantiate(settings.sampler)(training_set(open_catalogue(settings.data)), p=1, k=2, seed=0)
    assert [sorted(row // 4 for row in batch) for batch in sampler] == [[0, 1]] * 4


def test_data_webdataset_reads_shards(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "validation")):
        with tarfile.open(tmp_path / f"{split}-000.tar", "w") as shard:
            for name in (f"{number}.png", f"{number}b.png"):
                write_photos(tmp_path, [name])
                (tmp_path / f"{name[:-4]}.json").write_text('{"sku": "007"}')
                for path in (tmp_path / name, tmp_path / f"{name[:-4]}.json"):
                    shard.add(path, path.name)
    for pattern in ([], ['data.manifest="{train,validation}-{000..000}.tar"']):
        overrides = ["data=webdataset", f"data.root={tmp_path}", "data.columns.item_id=sku", *pattern]
        catalogue = open_catalogue(composed("train", *overrides, output=tmp_path).data, need_gallery=True)
        assert catalogue.items["item_id"].to_pylist() == ["007"] * 4
        assert catalogue.train_rows().tolist() == [0, 1]
        assert catalogue.query_rows("val").tolist() == [2, 3]
        assert catalogue.picture(3).shape == (12, 12, 3)


def test_data_oml_reads_open_metric_learning_s_csv_with_a_root_alone(tmp_path: Path) -> None:
    write_photos(tmp_path, [f"images/{n}.png" for n in range(6)])
    (tmp_path / "df.csv").write_text(
        ",label,path,split,is_query,is_gallery,category\n"
        "0,7,images/0.png,train,,,shoe\n"
        "1,7,images/1.png,train,,,shoe\n"
        "2,008,images/2.png,validation,True,True,hat\n"
        "3,008,images/3.png,validation,True,True,hat\n"
        "4,9,images/4.png,validation,True,False,hat\n"
        "5,9,images/5.png,validation,False,True,hat\n"
    )
    settings = composed("train", "data=oml", f"data.root={tmp_path}", output=tmp_path)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    assert catalogue.train_rows().tolist() == [0, 1]
    assert catalogue.query_rows("val").tolist() == [2, 3, 4]
    assert catalogue.gallery_rows("val").tolist() == [2, 3, 5]
    assert catalogue.items["item_id"].to_pylist()[2] == "008"
    assert catalogue.items["category"].to_pylist()[0] == "shoe"


@pytest.mark.parametrize(
    ("yes", "no", "none"),
    [("True", "False", ""), ("1.0", "0.0", ""), ("1", "0", ""), ("TRUE", "FALSE", "None"), ("true", "false", "nan")],
)
def test_data_oml_reads_roles_in_each_spelling_and_boxes(tmp_path: Path, yes: str, no: str, none: str) -> None:
    write_photos(tmp_path, [f"images/{n}.png" for n in range(2)])
    (tmp_path / "df.csv").write_text(
        "label,path,split,is_query,is_gallery,category,sequence,x_1,x_2,y_1,y_2\n"
        f"0,images/0.png,train,{none},{none},a,0,0,6,0,5\n"
        f"0,images/0.png,train,{none},{none},a,1,6,12,5,12\n"
        f"1,images/1.png,validation,{yes},{no},a,2,,,,\n"
        f"1,images/0.png,validation,{no},{yes},a,3,0,12,0,12\n"
        f"1,images/1.png,validation,{yes},{yes},a,4,1,12,1,12\n"
    )
    settings = composed("train", "data=oml", f"data.root={tmp_path}", output=tmp_path)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    assert catalogue.train_rows().tolist() == [0, 1]
    assert catalogue.query_rows("val").tolist() == [2, 4]
    assert catalogue.gallery_rows("val").tolist() == [3, 4]
    assert [catalogue.picture(row).shape[:2] for row in range(5)] == [(5, 6), (7, 6), (12, 12), (12, 12), (11, 11)]


def test_data_shop_simulates_a_shop(tmp_path: Path) -> None:
    settings = composed("train", "data=shop", f"data.root={tmp_path / 'shop'}", *SHOP, output=tmp_path)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    for split in ("val", "test"):
        assert len(catalogue.query_rows(split))
        assert len(catalogue.gallery_rows(split))
    assert len(catalogue.train_rows())


@pytest.mark.real_data
def test_data_grocery_reads_the_grocery_photos_by_itself(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    settings = composed("train", "data=grocery", output=tmp_path)
    catalogue = open_catalogue(settings.data, need_gallery=True)
    assert len(catalogue.train_rows()) == 2640 + 81
    assert len(catalogue.query_rows("val")) == 296
    assert len(catalogue.gallery_rows("val")) == 81
    assert catalogue.test_split() == "val"
    assert set(catalogue.items["domain"].to_pylist()) == {"user", "catalogue"}


@pytest.mark.real_data
@pytest.mark.parametrize("seed", [0, 1])
def test_data_grocery_unseen_reports_on_products_that_neither_trained_nor_chose(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(repository)
    settings = composed("train", "data=grocery_unseen", f"data.split_seed={seed}", output=tmp_path)
    unseen = open_catalogue(settings.data, need_gallery=True)
    parts = [unseen.train_rows(), unseen.query_rows("val"), unseen.query_rows("test")]
    items = [set(unseen.column("item_id", rows)) for rows in parts]
    assert [len(part) for part in items] == [60, 10, 11]
    assert len(set.union(*items)) == 81
    for split in ("val", "test"):
        gallery = unseen.column("item_id", unseen.gallery_rows(split)).tolist()
        assert len(gallery) == 21
        assert set(gallery) == items[1] | items[2]
    # All photos of the 21 ask; of the others, those that the set puts aside are left for `ask=seen`.
    photos = unseen.column("domain", np.arange(unseen.items.num_rows)) == "user"
    held_out = np.isin(unseen.column("item_id", np.arange(unseen.items.num_rows)), sorted(items[1] | items[2]))
    assert len(parts[1]) + len(parts[2]) == (photos & held_out).sum()
    settings = composed(
        "train", "data=grocery_unseen", f"data.split_seed={seed}", "data.count.ask=seen", output=tmp_path
    )
    seen = open_catalogue(settings.data, need_gallery=True)
    assert seen.train_rows().tolist() == parts[0].tolist()
    assert not set(seen.query_rows("val")) & set(parts[0])
    assert len(seen.query_rows("val")) + len(parts[0]) == (photos & ~held_out).sum() + 60
    assert len(seen.gallery_rows("val")) == 60


@pytest.mark.parametrize("name", ["evaluate", "export"])
def test_data_as_trained_leaves_all_to_the_checkpoint(name: str, tmp_path: Path) -> None:
    trained_on = asdict(composed("train", "data=shop", *SHOP, output=tmp_path).data)
    settings = composed(name, "checkpoint=x", "output=y", "data.root=elsewhere", "data.shop.seed=4")
    data = complete_data(settings.data, trained_on)
    assert (data.root, data.shop.seed, data.shop.parents, data.reader) == ("elsewhere", 4, 20, "shop")
    assert composed(name, "checkpoint=x", "output=y", "data=grocery").data.manifest == "metadata.csv"


@pytest.mark.parametrize("model", [name for name in options("model") if name != "resnet10_small"])
@pytest.mark.parametrize("preprocessing", options("preprocessing"))
def test_evaluate_takes_a_network_before_training(model: str, preprocessing: str) -> None:
    settings = composed(
        "evaluate",
        "baseline=pretrained",
        "data=grocery",
        f"model={model}",
        "model.weights=w",
        "model.backbone_kwargs={pad_type: same}",
        f"preprocessing={preprocessing}",
        "preprocessing.size=128",
        "output=y",
    )
    assert (settings.model.weights, settings.model.backbone_kwargs) == ("w", {"pad_type": "same"})
    assert settings.preprocessing.size == 128
    given = ["data=grocery", f"model={model}", f"preprocessing={preprocessing}", "preprocessing.size=128"]
    trained = composed("train", *given, output=Path("y"))
    assert settings.preprocessing == trained.preprocessing


def test_evaluate_takes_stages_in_order_with_their_settings() -> None:
    asked = [
        "rerank.stages=[business,alpha_qe]",
        "rerank.depth=50",
        "rerank.alpha_qe.alpha=1",
        "rerank.business.price=0",
    ]
    rerank = composed("evaluate", "checkpoint=x", "output=y", *asked).rerank
    assert (rerank.stages, rerank.depth, rerank.alpha_qe.alpha, rerank.business.price) == (
        ["business", "alpha_qe"],
        50,
        1.0,
        0.0,
    )
    with pytest.raises(LookalikeError, match="'alpha' is none of alpha_qe, k_reciprocal, business"):
        composed("evaluate", "checkpoint=x", "output=y", "rerank.stages=[alpha]")


BAD = [
    (["data=shop", "trainer.epoch=3"], "epoch"),
    (["data=shop", "modle.head=none"], "modle"),
    (["data=shop", "data.shop.parent=3"], "parent"),
    (["data=shop", "+model.dropout=0.5"], "dropout"),
    (["data=shop", "trainer.epochs=many"], "many"),
    (["data=shop", "data.k=2.5"], "2.5"),
    (["data=shop", "model.pretrained=perhaps"], "perhaps"),
    (["data=shop", "model=resnet999"], "resnet999"),
    (["data=nowhere"], "nowhere"),
    (["data=shop", "preprocessing.size=4"], "preprocessing.size=4"),
    (["data=shop", "preprocessing=as_weights", "model.backbone=zzz"], "zzz does not describe its pixels"),
    (["data=shop", "preprocessing.mean=[0.5,0.5]"], "mean"),
    (["data=folder"], "data.root"),
    (["data=manifest", "data.root=x"], "data.manifest"),
    ([], "data"),
    (["data=shop", "loss=triplet", "data.k=1"], "TripletMarginLoss needs at least 2 images per item"),
    (["data=shop", "loss=proxy_anchor"], "ProxyAnchorLoss is not made of tuples that BatchHardMiner could choose"),
    (["data=shop", "loss=multi_similarity_and_proxy_anchor"], "BatchHardMiner serves no term of a sum"),
    (["data=shop", "loss=smoothap", "miner=none", "objective.memory=512"], "SmoothAPLoss ranks the whole batch"),
    (["data=shop", "+objective.memori=512"], "memori"),
    (["data=shop", "metric.monitors=mrr"], "monitors"),
    (["data=shop", "metric.mode=maximum"], "`metric.mode=maximum`: must be max, min"),
    (["data=shop", "metric.logged.mine.k=3"], "`metric.logged.mine={'k': 3}`: names no class"),
    (["data=shop", "metric=worst"], "worst"),
]


@pytest.mark.parametrize(
    ("overrides", "named"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_cannot_work_is_refused_at_compose_and_named(overrides: list[str], named: str, tmp_path: Path) -> None:
    with pytest.raises((LookalikeError, HydraException, OmegaConfBaseException)) as caught:
        composed("train", *overrides, output=tmp_path)
    causes, error = [], caught.value
    while error is not None:
        causes.append(str(error))
        error = error.__cause__
    assert named in "\n".join(causes)


def test_all_missing_values_are_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(LookalikeError, match=r"not given: data\.manifest, data\.root; set each with KEY=VALUE"):
        composed("train", "data=manifest", output=tmp_path)


def test_the_schemas_know_every_key_of_the_primary_configs(tmp_path: Path) -> None:
    settings = composed("train", "data=shop", output=tmp_path)
    assert {field.name for field in fields(settings)} == set(asdict(settings))
