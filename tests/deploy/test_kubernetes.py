"""The manifests fit each other, the image and the service's settings."""

from typing import Any

from fastapi.testclient import TestClient

from serve.settings import ServeSettings
from tests.deploy.files import DEPLOY, SETTINGS, documents
from tests.deploy.test_containerfile import ENVIRONMENT

FOLDER = DEPLOY / "kubernetes"
(KUSTOMIZATION,) = documents(FOLDER / "kustomization.yaml")
KINDS: dict[str, dict[str, Any]] = {
    document["kind"]: document for name in KUSTOMIZATION["resources"] for document in documents(FOLDER / name)
}
VERSIONS = {
    "ConfigMap": "v1",
    "Deployment": "apps/v1",
    "HorizontalPodAutoscaler": "autoscaling/v2",
    "NetworkPolicy": "networking.k8s.io/v1",
    "PodDisruptionBudget": "policy/v1",
    "Service": "v1",
}
POD = KINDS["Deployment"]["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
SETTINGS_GIVEN = KINDS["ConfigMap"]["data"]


def test_each_kind_is_there_once_in_its_stable_version() -> None:
    assert {kind: document["apiVersion"] for kind, document in KINDS.items()} == VERSIONS
    listed = set(KUSTOMIZATION["resources"]) | {"kustomization.yaml", "secret.example.yaml"}
    assert {path.name for path in FOLDER.iterdir()} == listed
    assert {document["metadata"]["name"] for document in KINDS.values()} == {"lookalike"}


def test_selectors_select_the_pod() -> None:
    labels = POD["metadata"]["labels"].items()
    spread = POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]
    for selected in (
        KINDS["Deployment"]["spec"]["selector"]["matchLabels"],
        KINDS["Service"]["spec"]["selector"],
        KINDS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        KINDS["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
        spread["matchLabels"],
    ):
        assert selected
        assert selected.items() <= labels
    target = KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "lookalike")
    assert "replicas" not in KINDS["Deployment"]["spec"]  # Else each apply would undo the autoscaler's.


def test_ports_and_probes_are_the_services(client: TestClient) -> None:
    (port,) = CONTAINER["ports"]
    assert str(port["containerPort"]) == ENVIRONMENT["LOOKALIKE_PORT"]
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == ENVIRONMENT["LOOKALIKE_PORT"]
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    assert KINDS["NetworkPolicy"]["spec"]["ingress"][0]["ports"][0]["port"] == port["name"]
    paths = [CONTAINER[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert paths == ["/livez", "/livez", "/readyz"]
    for path in (*paths, POD["metadata"]["annotations"]["prometheus.io/path"]):
        assert client.get(path).status_code == 200


def test_settings_are_known_and_taken() -> None:
    (secret,) = documents(FOLDER / "secret.example.yaml")
    names = SETTINGS_GIVEN.keys() | secret["stringData"].keys()
    assert names <= SETTINGS
    values = {name.removeprefix("LOOKALIKE_").lower(): value for name, value in SETTINGS_GIVEN.items()}
    ServeSettings.model_validate(values)
    assert [kind for source in CONTAINER["envFrom"] for kind in source] == ["configMapRef", "secretRef"]
    # A Service of this name makes Kubernetes set LOOKALIKE_PORT.
    assert POD["spec"]["enableServiceLinks"] is False


def test_a_pod_has_time_to_drain_and_no_rights() -> None:
    pause = int("".join(filter(str.isdigit, CONTAINER["lifecycle"]["preStop"]["exec"]["command"][-1])))
    drain = int(SETTINGS_GIVEN["LOOKALIKE_DRAIN_SECONDS"])
    assert POD["spec"]["terminationGracePeriodSeconds"] > pause + drain
    assert POD["spec"]["securityContext"]["runAsNonRoot"]
    assert not POD["spec"]["automountServiceAccountToken"]
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["name"]: mount for mount in CONTAINER["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in POD["spec"]["volumes"]}
    assert mounts["bundle"]["mountPath"] == ENVIRONMENT["LOOKALIKE_BUNDLE"]
    assert mounts["bundle"]["readOnly"]
