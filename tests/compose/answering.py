"""What checks find on loopback: web pages, a certificate that nobody signed, an SSH banner, a closed port."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class _Pages(BaseHTTPRequestHandler):
    """`/200` answers with status 200, and so on."""

    def do_GET(self) -> None:
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass


class _Banner(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-test\r\n")


class _SixServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    daemon_threads = True


class _FourServer(socketserver.ThreadingTCPServer):
    daemon_threads = True


@contextmanager
def answering(folder: Path) -> Iterator[dict[str, int]]:
    """The ports: `http`, `https` (signed by itself), `ssh`, `ssh6` (on ::1), and `closed`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_self_signed(folder))
    secure = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
    secure.socket = context.wrap_socket(secure.socket, server_side=True)
    servers: dict[str, socketserver.TCPServer] = {
        "http": ThreadingHTTPServer(("127.0.0.1", 0), _Pages),
        "https": secure,
        "ssh": _FourServer(("127.0.0.1", 0), _Banner),
        "ssh6": _SixServer(("::1", 0), _Banner),
    }
    # Bound, so that nobody else takes it, and not listening.
    with socket.socket() as closed, ExitStack() as cleanup:
        closed.bind(("127.0.0.1", 0))
        for server in servers.values():
            # A client that refuses the certificate is no news.
            server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of this one instance
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
            thread.start()
            cleanup.callback(thread.join)
            cleanup.callback(server.server_close)
            cleanup.callback(server.shutdown)
        ports = {name: server.server_address[1] for name, server in servers.items()}
        yield {**ports, "closed": closed.getsockname()[1]}


def _self_signed(folder: Path) -> Path:
    """Key and certificate of 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "self-signed.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return path
