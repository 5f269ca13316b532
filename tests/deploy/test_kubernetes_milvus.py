"""The second overlay fits the first one, the operator's names, and the service's settings."""

from typing import Any
from urllib.parse import urlsplit

from serve.settings import ServeSettings
from tests.deploy.files import DEPLOY, SETTINGS, documents
from tests.deploy.test_kubernetes import KINDS as BASE

FOLDER = DEPLOY / "kubernetes-milvus"
(KUSTOMIZATION,) = documents(FOLDER / "kustomization.yaml")
ADDED: dict[str, dict[str, Any]] = {
    document["kind"]: document
    for name in KUSTOMIZATION["resources"]
    if name.endswith(".yaml")
    for document in documents(FOLDER / name)
}
PATCHES = {
    document["kind"]: document for patch in KUSTOMIZATION["patches"] for document in documents(FOLDER / patch["path"])
}
SECRETS = {
    document["metadata"]["name"]: document["stringData"] for document in documents(FOLDER / "secret.example.yaml")
}


def test_every_file_is_named_and_each_kind_is_in_its_stable_version() -> None:
    assert KUSTOMIZATION["resources"][0] == "../kubernetes"
    named = {*KUSTOMIZATION["resources"][1:], *(patch["path"] for patch in KUSTOMIZATION["patches"])}
    assert {path.name for path in FOLDER.iterdir()} == named | {"kustomization.yaml", "secret.example.yaml"}
    versions = {kind: document["apiVersion"] for kind, document in ADDED.items()}
    assert versions == {"Milvus": "milvus.io/v1beta1", "Service": "v1", "StatefulSet": "apps/v1"}


def test_a_patch_changes_what_is_there() -> None:
    for kind, patch in PATCHES.items():
        assert (patch["apiVersion"], patch["metadata"]["name"]) == (BASE[kind]["apiVersion"], "lookalike")
    out, before = ([rule["ports"] for rule in one["NetworkPolicy"]["spec"]["egress"]] for one in (PATCHES, BASE))
    assert out == [[*before[0], {"port": 19530, "protocol": "TCP"}]]


def test_settings_are_known_taken_and_name_what_there_is() -> None:
    given = {**BASE["ConfigMap"]["data"], **PATCHES["ConfigMap"]["data"], **SECRETS["lookalike"]}
    assert given.keys() <= SETTINGS
    settings = ServeSettings.model_validate(
        {name.removeprefix("LOOKALIKE_").lower(): text for name, text in given.items()}
    )
    # Replicas keep nothing: a state folder would be one replica's own.
    assert settings.state is None
    milvus = urlsplit(settings.milvus_uri)
    assert (milvus.hostname, milvus.port) == (f"{ADDED['Milvus']['metadata']['name']}-milvus", 19530)
    assert settings.changes_url is not None
    changes = urlsplit(settings.changes_url.get_secret_value())
    service = ADDED["Service"]
    assert (changes.hostname, changes.port) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    assert changes.password == SECRETS["lookalike-postgres"]["password"]


def test_postgresql_keeps_its_data_and_is_found_by_its_service() -> None:
    spec = ADDED["StatefulSet"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    labels = spec["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"] == labels == ADDED["Service"]["spec"]["selector"]
    assert spec["serviceName"] == ADDED["Service"]["metadata"]["name"]
    assert container["ports"][0]["name"] == ADDED["Service"]["spec"]["ports"][0]["targetPort"]
    (mount,) = container["volumeMounts"]
    (claim,) = spec["volumeClaimTemplates"]
    assert mount["name"] == claim["metadata"]["name"]
    variables = {one["name"]: one for one in container["env"]}
    assert variables["PGDATA"]["value"].startswith(mount["mountPath"])
    user = urlsplit(SECRETS["lookalike"]["LOOKALIKE_CHANGES_URL"])
    assert (user.username, user.path[1:]) == (variables["POSTGRES_USER"]["value"], variables["POSTGRES_DB"]["value"])
    secret = variables["POSTGRES_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret["key"] in SECRETS[secret["name"]]
    # Each replica has two pools: 15 connections of changes at most, and four of prices and stock.
    connections = int(container["args"][-1].removeprefix("max_connections="))
    assert connections > 19 * BASE["HorizontalPodAutoscaler"]["spec"]["maxReplicas"]


def test_milvus_keeps_its_data_and_lets_nobody_in_without_a_token() -> None:
    spec = ADDED["Milvus"]["spec"]
    stores = [
        spec["dependencies"][name]["inCluster"] for name in ("etcd", "storage", spec["dependencies"]["msgStreamType"])
    ]
    assert {one["deletionPolicy"] for one in stores} == {"Retain"}
    assert spec["config"]["common"]["security"]["authorizationEnabled"]
    # A position counts as seen by every Bounded search after ten seconds.
    assert spec["config"]["common"]["gracefulTime"] < 10_000
