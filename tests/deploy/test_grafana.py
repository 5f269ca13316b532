"""The dashboard shows what the service measures."""

import json
import re

from tests.deploy.files import DEPLOY, documents, unknown_in

FOLDER = DEPLOY / "grafana"
PANELS = json.loads((FOLDER / "dashboards" / "lookalike.json").read_text())["panels"]


def test_panels_ask_for_metrics_that_there_are(exposed: dict[str, set[str]]) -> None:
    for panel in PANELS:
        for target in panel["targets"]:
            assert not unknown_in(target["expr"], exposed), panel["title"]
            # What a line is called after must be left when the labels were summed away.
            named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            kept = [set(re.split(r",\s*", group)) for group in re.findall(r"\bby \(([^)]*)\)", target["expr"])]
            assert named <= set().union(*kept, {"instance"}), panel["title"]


def test_a_wrong_name_or_label_is_found(exposed: dict[str, set[str]]) -> None:
    assert unknown_in("sum by (stages, le) (rate(lookalike_stage_seconds_bucket[5m]))", exposed) == ["stages"]
    assert unknown_in('lookalike_requests_total{code="200"}', exposed) == ["lookalike_requests_total: code"]
    assert unknown_in("lookalike_request_total", exposed) == ["lookalike_request_total"]


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
