"""The compose file names what there is."""

import re

from tests.deploy.files import DEPLOY, ROOT, SETTINGS, documents

(COMPOSE,) = documents(DEPLOY / "compose.yaml")
SERVICES = COMPOSE["services"]


def test_files_and_networks_exist_and_settings_are_known() -> None:
    assert set(SERVICES["lookalike"]["environment"]) <= SETTINGS
    build = SERVICES["lookalike"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    for service in SERVICES.values():
        assert set(service["networks"]) <= COMPOSE["networks"].keys()
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_dir()
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"]


def test_ports_are_for_this_machine_only_and_nothing_gains_rights() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert re.fullmatch(r"docker\.io/[a-z/]+:v?[\d.]+(-alpine)?", service.get("image", "")) or name == "lookalike"
    assert SERVICES["lookalike"]["read_only"]
    assert COMPOSE["networks"]["back"]["internal"]


def test_prometheus_and_grafana_find_each_other() -> None:
    (prometheus,) = documents(DEPLOY / "prometheus" / "prometheus.yml")
    (target,) = prometheus["scrape_configs"][0]["static_configs"][0]["targets"]
    (source,) = documents(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    for address, networks in ((target, "prometheus"), (source["url"].removeprefix("http://"), "grafana")):
        host, port = address.split(":")
        assert set(SERVICES[host]["networks"]) & set(SERVICES[networks]["networks"])
        assert any(mapped.endswith(f":{port}") for mapped in SERVICES[host]["ports"])
