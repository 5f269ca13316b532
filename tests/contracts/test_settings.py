"""Settings that cannot work are refused, all at once."""

from dataclasses import asdict

import pytest

from src.contracts.errors import ConfigError
from src.contracts.settings import (
    MISSING,
    DataSettings,
    EncoderSettings,
    EvaluateSettings,
    ExportSettings,
    IndexSettings,
    ObjectiveSettings,
    OptimSettings,
    ShopSettings,
    TrainerSettings,
    TrainSettings,
    complete_data,
)
from src.contracts.settings.csv import CsvSettings
from src.contracts.settings.splits import CountSplitSettings, TimeSplitSettings

TRIPLET = {"_target_": "pytorch_metric_learning.losses.TripletMarginLoss", "margin": 0.1}


def train_settings(data: DataSettings, **overrides: object) -> TrainSettings:
    values: dict = {
        "name": "test",
        "data": data,
        "model": EncoderSettings(backbone="resnet10t"),
        "loss": TRIPLET,
        "trainer": TrainerSettings(epochs=1),
    }
    return TrainSettings(**{**values, **overrides})


def test_settings_that_work_pass(data_settings) -> None:
    train_settings(data_settings()).check()
    train_settings(data_settings(), trainer=TrainerSettings(epochs=0)).check()
    EvaluateSettings(checkpoint="a", output="b").check()
    EvaluateSettings(baseline="color_histogram", output="b", split="val", level="image", pictures=0).check()
    EvaluateSettings(checkpoint="a", output="b", resamples=0, confidence=0.9, slices=["color"]).check()
    ExportSettings(checkpoint="a", output="b").check()


def test_one_image_per_item_names_the_loss_and_the_fix(data_settings) -> None:
    with pytest.raises(ConfigError) as caught:
        train_settings(data_settings(k=1)).check()
    expected = "`data.k=1`: TripletMarginLoss needs at least 2 images per item; set `data.k=4`"
    assert str(caught.value) == expected


def component(name: str, **arguments: object) -> dict:
    module = "src.losses.recall_at_k" if name == "RecallAtKSurrogate" else "pytorch_metric_learning.losses"
    return {"_target_": f"{module}.{name}", **arguments}


def terms(**named: dict) -> dict:
    return {"terms": named}


PROXY, SMOOTH, RECALL = (
    component("ProxyAnchorLoss"),
    component("SmoothAPLoss"),
    component("RecallAtKSurrogate", ks=[1, 4]),
)
OWN = "tests.losses.own_losses"
OWN_PROXIES, OWN_ARC_FACE = {"_target_": f"{OWN}.OwnProxies"}, {"_target_": f"{OWN}.OwnArcFace"}
HARD, SEMI_HARD = (
    {"_target_": f"pytorch_metric_learning.miners.{name}"} for name in ("BatchHardMiner", "TripletMarginMiner")
)
CROSS, MEMORY = ObjectiveSettings(pairs="cross_domain"), ObjectiveSettings(memory=64)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"loss": {}}, "`loss` names no class; choose one with loss=NAME"),
        ({"objective": ObjectiveSettings(pairs="some")}, "`objective.pairs=some`: must be all or cross_domain"),
        ({"objective": ObjectiveSettings(variants="")}, "`objective.variants=`: must be negative or ignored"),
        ({"objective": ObjectiveSettings(memory=-1)}, "`objective.memory=-1`: must be at least 0"),
        (
            {"objective": ObjectiveSettings(memory_start=5)},
            "`objective.memory_start=5`: there is no memory to wait for",
        ),
        ({"objective": ObjectiveSettings(memory_start=-1)}, "`objective.memory_start=-1`: must be at least 0"),
        ({"objective": ObjectiveSettings(memory=3)}, "`objective.memory=3`: holds less than a batch of 4 images"),
        ({"loss": PROXY, "miner": HARD}, "ProxyAnchorLoss is not made of tuples that BatchHardMiner could choose"),
        (
            {"loss": {**RECALL, "ks": [1]}, "miner": HARD},
            "RecallAtKSurrogate is not made of tuples that BatchHardMiner could",
        ),
        ({"loss": PROXY, "objective": MEMORY}, "`objective.memory=64`: ProxyAnchorLoss compares images with proxies"),
        ({"loss": PROXY, "objective": CROSS}, "`objective.pairs=cross_domain`: ProxyAnchorLoss compares images with"),
        ({"loss": SMOOTH, "objective": CROSS}, "`objective.pairs=cross_domain`: SmoothAPLoss ranks the whole batch"),
        ({"loss": SMOOTH, "data": {"p": 256, "k": 4}}, "SmoothAPLoss compares all triples of 1024 images, 4 GB"),
        (
            {"miner": SEMI_HARD, "data": {"p": 32}, "objective": ObjectiveSettings(memory=8192)},
            "TripletMarginMiner lists all triplets of 64 images with 8256, up to 4 GB a tensor",
        ),
        (
            {"data": {"p": 32}, "objective": ObjectiveSettings(memory=8192)},
            "TripletMarginLoss lists all triplets of 64 images with 8256, up to 4 GB a tensor",
        ),
        ({"loss": RECALL}, "`loss.ks=[1, 4]`: among 3 other images Recall@4 is always 1"),
        ({"optim": OptimSettings(proxy_lr=-1.0)}, "`optim.proxy_lr=-1.0`: must be finite"),
        ({"loss": terms()}, "`loss.terms`: a sum needs at least one"),
        ({"loss": {**terms(a={"loss": TRIPLET}), "margin": 1}}, "`loss.margin`: a sum of losses has `terms` only"),
        ({"loss": terms(a={"loss": TRIPLET, "wieght": 2})}, "`loss.terms.a.wieght`: unknown; a term has loss, miner"),
        ({"loss": terms(a={"weight": 1.0})}, "`loss.terms.a.loss` names no class; add `- /loss@terms.a.loss: NAME`"),
        ({"loss": terms(a={"loss": TRIPLET, "weight": 0})}, "`loss.terms.a.weight=0`: must be a number above 0"),
        ({"loss": terms(a={"loss": TRIPLET, "weight": "x"})}, "`loss.terms.a.weight=x`: must be a number above 0"),
        ({"loss": {"terms": {"a.b": {"loss": TRIPLET}}}}, "`loss.terms.a.b`: a term is named by letters"),
        ({"loss": terms(a=None)}, "`loss.terms.a=None`: a term has loss, miner, weight"),
        ({"loss": terms(a={"loss": TRIPLET}), "miner": HARD}, "BatchHardMiner serves no term of a sum"),
        (
            {"loss": terms(a={"loss": TRIPLET}, b={"loss": SMOOTH}), "objective": MEMORY},
            "`objective.memory=64`: SmoothAPLoss ranks the whole batch",
        ),
        ({"loss": terms(a={"loss": PROXY, "miner": HARD})}, "ProxyAnchorLoss is not made of tuples"),
        ({"loss": OWN_ARC_FACE, "miner": HARD}, "OwnArcFace is not made of tuples that BatchHardMiner could choose"),
        ({"loss": OWN_PROXIES, "objective": CROSS}, "`objective.pairs=cross_domain`: OwnProxies compares images with"),
        (
            {"loss": component("TripletLoss")},
            "`_target_=pytorch_metric_learning.losses.TripletLoss`: cannot be",
        ),
        ({"loss": {"_target_": "nowhere.Loss"}}, "cannot be imported (No module named 'nowhere'); name a class of an"),
        ({"loss": {"_target_": "Loss"}}, "`loss._target_=Loss`: names no module; write it as package.module.Loss"),
        (
            {"loss": {"_target_": f"{OWN}.UnknownKind"}},
            "UnknownKind.compares='triples': must be pairs, proxies or",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_losses_miners_and_pairs_that_cannot_work_together_are_named(
    changes: dict, expected: str, data_settings
) -> None:
    data = data_settings(**changes.pop("data", {}))
    with pytest.raises(ConfigError) as caught:
        train_settings(data, **changes).check()
    assert len(str(caught.value).splitlines()) == 1
    assert expected in str(caught.value)


def test_losses_miners_and_pairs_that_work_together_pass(data_settings) -> None:
    for changes in (
        {"miner": HARD, "objective": ObjectiveSettings(pairs="cross_domain", variants="ignored", memory=64)},
        {"loss": terms(a={"loss": TRIPLET, "miner": HARD}, b={"loss": PROXY, "weight": 2}), "objective": MEMORY},
        {"loss": RECALL, "objective": MEMORY},
        {"loss": terms(a={"loss": SMOOTH})},
    ):
        train_settings(data_settings(), **changes).check()
    # Proxies stand for the other images of an item.
    for loss in (PROXY, OWN_PROXIES, OWN_ARC_FACE):
        train_settings(data_settings(k=1), loss=loss).check()


def test_everything_that_cannot_work_stands_in_one_message(data_settings) -> None:
    settings = train_settings(
        data_settings(reader="ftp", split_by="chance", augmentation="wild", k=1, p=1, workers=-1, val_fraction=1.0),
        model=EncoderSettings(backbone="resnet10t", head="conv", embedding_dim=1),
        optim=OptimSettings(
            lr=float("nan"),
            backbone_lr=-1.0,
            weight_decay=float("inf"),
            layer_decay=0.0,
            ema=1.0,
            l2_sp=-1.0,
            relations=-2.0,
            interpolate=[1.5],
        ),
        trainer=TrainerSettings(epochs=-1, precision="16", patience=0, validate_every=0, eval_batch=0),
    )
    with pytest.raises(ConfigError) as caught:
        settings.check()
    lines = str(caught.value).splitlines()
    for name in (
        "data.reader=ftp",
        "data.split_by=chance",
        "data.augmentation=wild",
        "data.k=1",
        "data.p=1",
        "data.workers=-1",
        "data.val_fraction",
        "model.head=conv",
        "model.embedding_dim=1",
        "optim.lr=nan",
        "optim.backbone_lr=-1.0",
        "optim.weight_decay=inf",
        "optim.layer_decay=0.0",
        "optim.ema=1.0",
        "optim.l2_sp=-1.0",
        "optim.relations=-2.0",
        "optim.interpolate=[1.5]",
        "trainer.epochs=-1",
        "trainer.precision=16",
        "trainer.patience=0",
        "trainer.validate_every=0",
        "trainer.eval_batch=0",
    ):
        assert sum(name in line for line in lines) == 1, name
    assert len(lines) == 22


@pytest.mark.parametrize(
    ("freeze", "unfreeze", "message"),
    [
        (-1, {}, "`optim.freeze=-1`: must be at least 0"),
        (0, {2: 0}, "`optim.unfreeze={2: 0}`: epochs from 1 on, each with fewer frozen stages"),
        (4, {0: 2}, "`optim.unfreeze={0: 2}`"),
        (4, {1: 4}, "`optim.unfreeze={1: 4}`"),
        (4, {3: 2, 2: 1}, "`optim.unfreeze={3: 2, 2: 1}`"),
        (4, {1: -1}, "`optim.unfreeze={1: -1}`"),
    ],
)
def test_stages_are_only_let_go(data_settings, freeze: int, unfreeze: dict[int, int], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        train_settings(data_settings(), optim=OptimSettings(freeze=freeze, unfreeze=unfreeze)).check()
    assert message in str(caught.value)
    train_settings(data_settings(), optim=OptimSettings(freeze=4, unfreeze={3: 0, 1: 2})).check()


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0.3), (0.3, -0.1), (0.5, 0.5), (float("nan"), 0.1)])
def test_shares_of_the_splits_must_be_shares(data_settings, val: float, test: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.val_fraction"):
        complete_data(data_settings(val_fraction=val, test_fraction=test), None)


def test_the_shop_is_checked_only_where_it_is_read(data_settings) -> None:
    tiny = ShopSettings(parents=1, seed=0, image_size=8, sessions=-1)
    complete_data(data_settings(shop=tiny), None)
    with pytest.raises(ConfigError) as caught:
        complete_data(data_settings(reader="shop", shop=tiny), None)
    assert str(caught.value).count("data.shop.") == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (EvaluateSettings(output="x"), "exactly one of checkpoint=, embeddings=, baseline=; got none"),
        (EvaluateSettings(output="x", checkpoint="a", embeddings="b"), "exactly one"),
        (EvaluateSettings(output="x", baseline="hog"), "`baseline=hog`"),
        (EvaluateSettings(output="x", checkpoint="a", level="sku"), "`level=sku`"),
        (EvaluateSettings(output="x", checkpoint="a", calibrate="dev"), "`calibrate=dev`: must be train, val or test"),
        (EvaluateSettings(output="x", checkpoint="a", calibrate="val", split="val"), "other photos than it was fitted"),
        (EvaluateSettings(output="x", embeddings="a", calibrate="val"), "one set of queries"),
        (EvaluateSettings(output="x", checkpoint="a", calibrate="val", level="image"), "set `level=item`"),
        (EvaluateSettings(output="x", checkpoint="a", split="dev"), "`split=dev`"),
        (EvaluateSettings(output="x", checkpoint="a", roles="all"), "`roles=all`"),
        (EvaluateSettings(output="x", embeddings="a", roles="leave_one_out"), "names its own"),
        (EvaluateSettings(output="x", checkpoint="a", aggregate="median"), "`aggregate=median`"),
        (EvaluateSettings(output="x", checkpoint="a", aggregate="mean", level="image"), "images have no mean"),
        (EvaluateSettings(output="x", checkpoint="a", aggregate="mean", exclude="video"), "set one of them"),
        (EvaluateSettings(output="x", checkpoint="a", gain="cubic"), "`gain=cubic`"),
        (EvaluateSettings(output="x", checkpoint="a", metrics={"recal": [1]}), "`metrics.recal=[1]`"),
        (EvaluateSettings(output="x", checkpoint="a", metrics={"map": [0]}), "`metrics.map=[0]`"),
        (EvaluateSettings(output="x", checkpoint="a", grades={"item_id": 1, "category": 2}), "the highest grade"),
        (EvaluateSettings(output="x", checkpoint="a", grades={"item_id": 3, "category": -1}), "0 to 100"),
        (EvaluateSettings(output="x", checkpoint="a", grades={}), "item_id must have the highest grade"),
        (EvaluateSettings(output="x", checkpoint="a", listed_after="June"), "not an ISO date"),
        (EvaluateSettings(output="x", checkpoint="a", memory_mb=1), "`memory_mb=1`"),
        (EvaluateSettings(output="x", checkpoint="a", batch=0), "`batch=0`"),
        (EvaluateSettings(output="x", checkpoint="a", pictures=-1), "`pictures=-1`"),
        (EvaluateSettings(output="x", checkpoint="a", resamples=50), "`resamples=50`: must be 0 or at least 100"),
        (EvaluateSettings(output="x", checkpoint="a", confidence=95), "`confidence=95`: must be from 0.5 to below 1"),
        (ExportSettings(checkpoint="a", output="x", index=IndexSettings(layout="pq")), "`index.layout=pq`"),
        (
            ExportSettings(checkpoint="a", output="x", precision="bf16"),
            "`precision=bf16`: must be one of fp32, fp16, int8",
        ),
        (ExportSettings(checkpoint="a", output="x", index_precision="f16"), "`index_precision=f16`: must be empty or"),
        (ExportSettings(checkpoint="a", output="x", engines=["rtx-sm90"]), "`engines`: 'rtx-sm90' must be one of"),
        (ExportSettings(checkpoint="a", output="x", engines=["tensorrt"], precision="int8"), "set `precision=fp16`"),
        (
            ExportSettings(checkpoint="a", output="x", calibration_images=0),
            "`calibration_images=0`: must be at least 8",
        ),
        (ExportSettings(checkpoint="a", output="x", index=IndexSettings(ef_search=0)), "`index.ef_search=0`"),
        (ExportSettings(checkpoint="a", output="x", parity_images=1), "`parity_images=1`"),
        (ExportSettings(checkpoint="a", output="x", triton="x/triton"), "`triton=x/triton`: lies in the bundle"),
    ],
)
def test_evaluation_and_export_are_checked(settings: EvaluateSettings | ExportSettings, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings.check()
    assert message in str(caught.value)


def test_what_is_not_given_comes_from_what_was_trained_on(data_settings) -> None:
    trained_on = asdict(data_settings(root="old", p=9))
    overrides = DataSettings(root="new", shop=ShopSettings(seed=5))
    data = complete_data(overrides, trained_on)
    assert (data.root, data.p, data.reader) == ("new", 9, "folder")
    assert (data.shop.seed, data.shop.parents) == (5, 20)
    # What was composed stays as it is.
    assert (overrides.p, overrides.shop.parents) == (MISSING, MISSING)


def test_without_a_checkpoint_the_catalogue_must_be_named(data_settings) -> None:
    with pytest.raises(ConfigError, match=r"`data\.reader` is not given; name the catalogue with data=NAME"):
        complete_data(DataSettings(), None)
    assert complete_data(data_settings(root="x"), None) == data_settings(root="x")


def test_completed_data_is_checked(data_settings) -> None:
    with pytest.raises(ConfigError, match=r"data\.reader=ftp"):
        complete_data(DataSettings(), asdict(data_settings(reader="ftp")))


def test_a_card_from_before_a_setting_takes_what_was_done_then(data_settings) -> None:
    now = asdict(data_settings(root="old"))
    card = {name: value for name, value in now.items() if name not in ("split_file", "leakage", "count", "time", "csv")}
    assert asdict(complete_data(DataSettings(), card)) == now
    assert complete_data(DataSettings(count=CountSplitSettings(train=7)), now).count.train == 7
    with pytest.raises(ConfigError, match=r"`data\.split_file` is not given"):
        complete_data(data_settings(split_file=MISSING), None)


@pytest.mark.parametrize(
    ("count", "named"),
    [({"train": 0}, "train=0"), ({"val": -1}, "val=-1"), ({"order": "size"}, "order=size"), ({"ask": "me"}, "ask=me")],
)
def test_counts_of_products_are_checked(data_settings, count: dict, named: str) -> None:
    values = {"train": 5, "val": 1, "order": "name", "joint_gallery": False, "ask": "unseen", **count}
    wrong = data_settings(split_by="count", count=CountSplitSettings(**values))
    with pytest.raises(ConfigError, match=rf"^`data\.count\.{named}`"):
        complete_data(wrong, None)
    wrong.split_by = "product"
    complete_data(wrong, None)


@pytest.mark.parametrize(
    ("val_from", "test_from", "message"),
    [
        ("", "2025-12", "`data.time.val_from=`: neither an ISO date"),
        ("2025-13", "", "`data.time.val_from=2025-13`"),
        ("2025-11", "soon", "`data.time.test_from=soon`"),
        ("2025-12", "2025-11-30", "validation must begin before the test"),
    ],
)
def test_dates_of_splits_are_checked(data_settings, val_from: str, test_from: str, message: str) -> None:
    time = TimeSplitSettings(val_from=val_from, test_from=test_from)
    with pytest.raises(ConfigError) as caught:
        complete_data(data_settings(split_by="time", time=time), None)
    assert message in str(caught.value)


@pytest.mark.parametrize("delimiter", ["", ",", ";", "semicolon", "tab", r"\t", "\t", "|", "^", " "])
@pytest.mark.parametrize("encoding", ["", "utf-8", "cp1252", "UTF_16", "latin-1"])
def test_csv_files_may_be_written_in_these_ways(data_settings, delimiter: str, encoding: str) -> None:
    complete_data(data_settings(csv=CsvSettings(delimiter=delimiter, encoding=encoding, decimal="comma")), None)


@pytest.mark.parametrize(
    ("name", "value"),
    [("delimiter", value) for value in ("semi", "\u00a7", '"', "\n", ";;")]
    + [("encoding", value) for value in ("cp12520", "base64", "rot13", "hex")]
    + [("decimal", value) for value in ("", ";", ".,", "dot")],
)
def test_csv_files_are_not_written_in_those(data_settings, name: str, value: str) -> None:
    settings = CsvSettings(**{"delimiter": "", "encoding": "", "decimal": "point", name: value})
    with pytest.raises(ConfigError, match=rf"^`data\.csv\.{name}="):
        complete_data(data_settings(csv=settings), None)


def test_a_split_by_file_names_it(data_settings) -> None:
    with pytest.raises(ConfigError, match=r"name the file with `data\.split_file=NAME`"):
        complete_data(data_settings(split_by="file"), None)


@pytest.mark.parametrize(
    ("logger", "named"),
    [
        (
            {
                "mlflow": {
                    "_target_": "lightning.pytorch.loggers.WandbLogger",
                    "tracking_uri": "https://me:hunter2@host/",
                }
            },
            r"logger\.mlflow\.tracking_uri",
        ),
        (
            {"wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger", "api_key": "hunter2"}},
            r"logger\.wandb\.api_key",
        ),
        (
            {"x": {"_target_": "lightning.pytorch.loggers.WandbLogger", "hosts": ["ok", "s3://key:hunter2@host"]}},
            r"logger\.x\.hosts\[1\]",
        ),
    ],
)
def test_secrets_have_no_place_in_settings(data_settings, logger, named) -> None:
    with pytest.raises(ConfigError, match=named) as caught:
        train_settings(data_settings(), logger=logger).check()
    assert "hunter2" not in str(caught.value)
    train_settings(
        data_settings(),
        logger={
            "m": {"_target_": "lightning.pytorch.loggers.WandbLogger", "uri": "https://host:80/a@b", "api_key": ""}
        },
    ).check()
