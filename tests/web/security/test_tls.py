"""TLS as clients see it: openssl s_client, curl and Python's ssl against a server that goes by one of the files."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from exporter.web.tls import client_name
from tests.web.security.site import Secured, basic
from tests.web.site import until


def s_client(site: Secured, *arguments: str) -> str:
    """What openssl tells of a handshake and the answer to one request."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-CAfile", "ca.crt", *arguments]
    request = b"GET /-/healthy HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    done = subprocess.run(
        [*command, "-ign_eof", "-verify_return_error"],
        cwd=site.folder,
        input=request,
        capture_output=True,
        check=False,
        timeout=30,
    )
    return (done.stdout + done.stderr).decode()


def refused(told: str) -> bool:
    """Whether a handshake came to nothing; asyncio sends no alert with the reason."""
    return "Cipher is (NONE)" in told


def curl(site: Secured, *arguments: str) -> tuple[int, str]:
    """curl's status, and the answer with its headers."""
    url = f"https://localhost:{site.port}/-/healthy"
    command = ["curl", "-sSi", "--max-time", "20", "--cacert", "ca.crt", *arguments, url]
    done = subprocess.run(command, cwd=site.folder, capture_output=True, text=True, check=False, timeout=30)
    return done.returncode, done.stdout + done.stderr


WITH = ("-cert", "scraper.crt", "-key", "scraper.key")


def test_versions(own: Path) -> None:
    """By default TLS 1.2 and 1.3, and nothing older; each limit holds."""
    old = ("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0")
    with Secured(own, "example.good.yml") as site:
        assert "TLSv1.3" in s_client(site, "-tls1_3")
        assert "TLSv1.2" in s_client(site, "-tls1_2")
        assert refused(s_client(site, *old))
    with Secured(own, "tls12.good.yml") as site:
        assert "TLSv1.2" in s_client(site)
        assert refused(s_client(site, "-tls1_3"))
    with Secured(own, "tls13.good.yml") as site:
        assert "TLSv1.3" in s_client(site)
        assert refused(s_client(site, "-tls1_2"))


def test_ciphers_and_curves(own: Path) -> None:
    """Of TLS 1.2 only the suites of the list are spoken, in the server's order, and only the one curve."""
    chacha, aes = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"
    with Secured(own, "tls12.good.yml") as site:
        assert re.search(f"Cipher *(is|:) *{chacha}", s_client(site, "-cipher", f"{aes}:{chacha}"))
        assert re.search(f"Cipher *(is|:) *{aes}", s_client(site, "-cipher", aes))
        assert refused(s_client(site, "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384"))
        assert "Server Temp Key: X25519" in s_client(site)
        assert refused(s_client(site, "-curves", "P-256"))
    with Secured(own, "every-key.good.yml") as site:
        assert "Server Temp Key: ECDH, secp384r1" in s_client(site, *WITH)


def test_the_clients_order_of_ciphers(own: Path) -> None:
    """With prefer_server_cipher_suites: false the client's favourite is taken."""
    text = (own / "tls12.good.yml").read_text()
    (own / "theirs.yml").write_text(f"{text}  prefer_server_cipher_suites: false\n")
    chacha, aes = "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA"
    with Secured(own, "theirs.yml") as site:
        assert re.search(f"Cipher *(is|:) *{aes}", s_client(site, "-cipher", f"{aes}:{chacha}"))


def test_clients_agree_on_http_1(own: Path) -> None:
    """A client that would speak HTTP/2 is told in the handshake that it is HTTP/1.1."""
    with Secured(own, "example.good.yml") as site:
        assert "ALPN protocol: http/1.1" in s_client(site, "-alpn", "h2,http/1.1")
        status, answer = curl(site, "--http2", "-u", "alice:S3cret of alice")
        assert (status, answer.splitlines()[0]) == (0, "HTTP/1.1 200 OK")


def test_curl(own: Path) -> None:
    """curl with the authority, a user and a certificate gets the page; without any one of them it does not."""
    user, certificate = ("-u", "alice:S3cret of alice"), ("--cert", "scraper.crt", "--key", "scraper.key")
    with Secured(own, "every-key.good.yml") as site:
        status, answer = curl(site, *user, *certificate)
        assert (status, answer.splitlines()[0]) == (0, "HTTP/1.1 200 OK")
        assert "401" in curl(site, *certificate)[1].splitlines()[0]
        assert curl(site, *user)[0] in (52, 56)  # the connection is closed on it
        assert curl(site, *user, *certificate, "--cacert", "stranger.crt")[0] == 60


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificates(version: ssl.TLSVersion, own: Path) -> None:
    """Where one is demanded, only those of our authority get in."""
    with Secured(own, "client.good.yml") as site:
        assert site.status(context=site.context("scraper", version)) == 200
        assert site.status(context=site.context("nameless", version)) == 200
        for certificate in ("", "stranger"):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                site.status(context=site.context(certificate, version))
        assert site.backend.renders == 2


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_certificate_is_verified_if_given(version: ssl.TLSVersion, own: Path) -> None:
    """Where it is asked for, those without one get in, and those with a wrong one do not."""
    with Secured(own, "inline.good.yml") as site:
        assert site.status(context=site.context("", version)) == 200
        assert site.status(context=site.context("scraper", version)) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            site.status(context=site.context("stranger", version))


@pytest.mark.parametrize(
    ("name", "admitted"),
    [
        ("prometheus.bank.example", True),
        ("noc@bank.example", True),
        ("spiffe://bank.example/scraper", True),
        ("2001:db8::1", True),
        ("2001:DB8:0::1", True),
        ("scraper", False),  # the common name is no alternative one
        ("bank.example", False),
        ("*.bank.example", False),
    ],
)
def test_allowed_names(name: str, admitted: bool, own: Path) -> None:
    """Of the certificates of our authority only those with one of the names get in, each kind of name counting."""
    text = (own / "client.good.yml").read_text()
    (own / "names.yml").write_text(f'{text}  client_allowed_sans: [other.bank.example, "{name}"]\n')
    with Secured(own, "names.yml") as site:
        if admitted:
            assert site.status(context=site.context("scraper")) == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                site.status(context=site.context("scraper"))
        with pytest.raises((ssl.SSLError, ConnectionError)):
            site.status(context=site.context("nameless"))
        assert site.backend.renders == admitted


def test_an_intermediate_authority(own: Path) -> None:
    """As in Go, a certificate in client_ca_file is trusted as it is: a client's own one lets that client in."""
    text = (own / "client.good.yml").read_text()
    (own / "one.yml").write_text(text.replace("ca.crt", "scraper.crt"))
    with Secured(own, "one.yml") as site:
        assert site.status(context=site.context("scraper")) == 200
        with pytest.raises((ssl.SSLError, ConnectionError)):
            site.status(context=site.context("nameless"))


def test_the_certificate_is_in_the_log(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where certificates take the place of names, the audit line has whom they speak of."""
    caplog.set_level("INFO")
    with Secured(own, "client.good.yml") as site:
        assert site.status("/-/reload", "POST", context=site.context("scraper")) == 200
    assert "certificate scraper from 127.0.0.1:" in caplog.text


def test_whom_a_certificate_speaks_of() -> None:
    """Its common name, or else its first alternative one, or else nobody."""
    assert client_name({"subject": ((("commonName", "a"),),), "subjectAltName": (("DNS", "b"),)}) == "a"
    assert client_name({"subject": ((("organizationName", "o"),),), "subjectAltName": (("DNS", "b"),)}) == "b"
    assert client_name({}) == ""


def test_resumed_sessions_keep_their_certificate(own: Path) -> None:
    """A client that resumes a session is who it was; one that was never let in has nothing to resume."""
    with Secured(own, "client.good.yml") as site:
        context = site.context("scraper", ssl.TLSVersion.TLSv1_2)
        session = None
        for resumed in (False, True):
            with (
                site.connect() as plain,
                context.wrap_socket(plain, server_hostname="localhost", session=session) as client,
            ):
                client.sendall(b"POST /-/reload HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200")
                assert client.session_reused == resumed
                session = client.session


def test_renegotiation_is_refused(own: Path) -> None:
    """A client of TLS 1.2 cannot have the server compute one key exchange after another."""
    with Secured(own, "tls12.good.yml") as site:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{site.port}", "-tls1_2"]
        done = subprocess.run(command, input=b"R\n", capture_output=True, check=False, timeout=30)
        assert b"no renegotiation" in done.stderr


def test_plain_and_encrypted_do_not_mix(own: Path) -> None:
    """Plain HTTP gets nothing out of a TLS port, nor TLS out of a plain one, and both go on serving."""
    with Secured(own, "example.good.yml") as site:
        with pytest.raises((OSError, ValueError)):
            site.status(headers=basic("alice"))
        assert site.status(headers=basic("alice"), context=site.context()) == 200
    with Secured(own, "users.good.yml") as site:
        with pytest.raises(ssl.SSLError):
            site.status(context=site.context())
        assert site.status(headers=basic("alice")) == 200


def test_a_large_page_arrives_whole(own: Path) -> None:
    """Twenty megabytes come in pieces and are the same, plain and encrypted, kept alive or not."""
    page = bytes(range(256)) * 80_000
    for name, encrypted in (("empty.good.yml", False), ("tls13.good.yml", True)):
        with Secured(own, name) as site:
            site.backend.page = lambda: page
            status, headers, body = site.ask(context=site.context() if encrypted else None)
            assert (status, headers["content-length"]) == (200, str(len(page)))
            assert body == page


def test_a_client_that_vanishes_in_the_handshake(own: Path) -> None:
    """What is no TLS at all, and what ends in the middle of it, leaves nothing behind."""
    with Secured(own, "example.good.yml") as site:
        for sent in (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 100):
            with site.connect() as client:
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                try:
                    while client.recv(1000):
                        pass
                except ConnectionError:
                    continue
        until(lambda: len(site.connections) == 0)
        assert site.status(headers=basic("alice"), context=site.context()) == 200
