"""A host of photos on loopback, over http or https, that misbehaves on request."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.serve.small_bundle import picture

PHOTO = picture(5)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        kind = self.path.partition("?")[0]
        if kind == "/redirect":
            self._send(302, b"", Location="http://127.0.0.1/latest/meta-data/")
        elif kind == "/missing":
            self._send(404, b"secret words of the host")
        elif kind == "/page":
            self._send(200, b"<html><script>1</script></html>", **{"Content-Type": "image/jpeg"})
        elif kind == "/packed":
            self._send(200, PHOTO, **{"Content-Encoding": "gzip"})
        elif kind == "/large":
            self._send(200, bytes(300_000))
        elif kind == "/endless":
            self.send_response(200)
            self.end_headers()
            self._drip(bytes(50_000), 0.0)
        elif kind == "/slow":
            self.send_response(200)
            self.end_headers()
            self._drip(b"x", 0.05)
        elif kind == "/nothing":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        else:
            self._send(200, PHOTO)

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, piece: bytes, wait: float) -> None:
        """Send for as long as somebody listens, 20 s at most."""
        ends = time.monotonic() + 20
        try:
            while time.monotonic() < ends:
                self.wfile.write(piece)
                time.sleep(wait)
        except OSError:
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def photo_host(tls: ssl.SSLContext | None = None) -> Iterator[ThreadingHTTPServer]:
    """A server; `.asked` has the paths and headers that it was asked with."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.asked = []  # type: ignore[attr-defined]
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def certified(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a server of that name shows, and what a client trusts it with."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return server, ssl.create_default_context(cafile=str(path))
