"""The dashboard shows what the service measures."""

import json

from tests.deploy.files import DEPLOY, documents, metrics_in

FOLDER = DEPLOY / "grafana"
PANELS = json.loads((FOLDER / "dashboards" / "lookalike.json").read_text())["panels"]


def test_panels_ask_for_metrics_that_there_are(exposed: set[str]) -> None:
    asked = set().union(*(metrics_in(target["expr"]) for panel in PANELS for target in panel["targets"]))
    assert asked
    assert asked <= exposed


def test_each_panel_has_a_place_a_unit_a_description_and_the_provisioned_source() -> None:
    (source,) = documents(FOLDER / "provisioning" / "datasources" / "prometheus.yaml")[0]["datasources"]
    places = set()
    for panel in PANELS:
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        places.add((panel["gridPos"]["x"], panel["gridPos"]["y"]))
        for target in panel["targets"]:
            assert target["datasource"] == {"type": source["type"], "uid": source["uid"]}
    assert len(places) == len({panel["id"] for panel in PANELS}) == len(PANELS)
