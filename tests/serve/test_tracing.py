"""Spans, of a service in a process of its own."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.search.small_bundle import Shop, picture
from tests.serve.running import running

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(BaseHTTPRequestHandler):
    """Keeps what is sent to it."""

    received: list[bytes]

    def do_POST(self) -> None:
        self.received.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def test_stages_are_spans_of_the_callers_trace(shop: Shop):
    Collector.received = []
    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        }
        with running(["--bundle", str(shop.root)], environment=variables) as started:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            files = {"image": ("p", picture(1))}
            assert started.client.post("/v1/search?k=3", files=files, headers=headers).status_code == 200
            started.client.get("/livez")
            code, errors = started.stop()
            assert code == 0, errors
        server.shutdown()
        thread.join()
    messages = [ExportTraceServiceRequest.FromString(data) for data in Collector.received]
    resources = [found for message in messages for found in message.resource_spans]
    spans = {span.name: span for found in resources for scope in found.scope_spans for span in scope.spans}
    assert spans.keys() == {"POST /v1/search", "decode", "embed", "search"}
    request = spans.pop("POST /v1/search")
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    for span in spans.values():
        assert span.parent_span_id == request.span_id
        assert request.start_time_unix_nano <= span.end_time_unix_nano <= request.end_time_unix_nano
    [named] = {pair.value.string_value for pair in resources[0].resource.attributes if pair.key == "service.name"}
    assert named == "lookalike"
