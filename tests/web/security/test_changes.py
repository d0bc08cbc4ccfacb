"""The file while the server runs: what has changed holds at once, what is wrong changes nothing and is told."""

from __future__ import annotations

import http.client
import logging
import os
import shutil
import socket
import ssl
from pathlib import Path

import pytest

from exporter.errors import ConfigError
from exporter.web.live import LiveWebConfig
from tests.web.security.authority import Authority
from tests.web.security.site import Secured, basic
from tests.web.site import until


def serial(site: Secured) -> str:
    """Which certificate the server shows."""
    with site.connect() as plain, site.context().wrap_socket(plain, server_hostname="localhost") as client:
        return str((client.getpeercert() or {})["serialNumber"])


def swap(site: Secured, name: str) -> None:
    """Put another configuration in place, as a careful editor does."""
    shutil.copy(site.folder / name, site.folder / "new")
    (site.folder / "new").rename(site.config)


def test_users_come_and_go(own: Path) -> None:
    """A user who is taken out of the file is out with the next request, on a connection that is open as well."""
    with Secured(own, "users.good.yml") as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        statuses: list[int] = []

        def ask() -> int:
            connection.request("GET", "/-/healthy", headers=basic("bob"))
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
            return answer.status

        assert ask() == 200
        swap(site, "roles.good.yml")
        until(lambda: ask() == 401)
        assert set(statuses) == {200, 401}
        assert site.status(headers=basic("alice")) == 200
        connection.close()


def test_a_renewed_certificate(own: Path) -> None:
    """A certificate and key that are replaced in place hold for the next connection; half of them does not."""
    with Secured(own, "tls13.good.yml") as site:
        before = serial(site)
        shutil.copy(own / "renewed.crt", own / "server.crt")
        site.live.refresh()
        assert serial(site) == before
        shutil.copy(own / "renewed.key", own / "server.key")
        until(lambda: serial(site) != before)


def test_tls_is_switched_on_and_off(own: Path) -> None:
    """The next connection is encrypted, or no more; those that are open stay as they are."""
    with Secured(own, "empty.good.yml") as site:
        kept = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        kept.request("GET", "/-/healthy")
        kept.getresponse().read()
        swap(site, "tls13.good.yml")
        site.live.refresh()
        assert site.status(context=site.context()) == 200
        kept.request("GET", "/-/healthy")
        assert kept.getresponse().read() == b"healthy\n"
        kept.close()
        swap(site, "empty.good.yml")
        site.live.refresh()
        assert site.status() == 200


def test_another_authority(own: Path) -> None:
    """Clients of an authority that is no longer trusted stay out, with a session that they could resume too."""
    with Secured(own, "client.good.yml") as site:
        context = site.context("scraper", ssl.TLSVersion.TLSv1_2)
        with site.connect() as plain, context.wrap_socket(plain, server_hostname="localhost") as client:
            session = client.session
        (own / "ca.new").write_bytes((own / "ca.crt").read_bytes())
        (own / "ca.crt").write_bytes(Authority("another").certificate)
        site.live.refresh()
        with site.connect() as plain, pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(plain, server_hostname="localhost", session=session).recv(1)


@pytest.mark.parametrize("name", ["users.bad.yml", "not-yaml.bad.yml", "missing.bad.yml", ""])
def test_a_wrong_file_changes_nothing(name: str, own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is wrong, or gone: the former one stays, the log has the reason once, a reload raises it."""
    with Secured(own, "users.good.yml") as site:
        before = site.live.current
        if name:
            swap(site, name)
        else:
            site.config.unlink()
        for _ in range(3):
            site.live.refresh()
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "the former one stays: " in warnings[0].getMessage()
        assert str(site.config) in warnings[0].getMessage()
        with pytest.raises(ConfigError):
            site.live.reload()
        assert site.live.current is before
        assert site.status(headers=basic("alice")) == 200
        assert site.status() == 401
        swap(site, "roles.good.yml")
        until(lambda: site.status(headers=basic("bob")) == 401)


def test_what_does_not_change_is_not_read(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As long as no file changes nothing happens; one that is written again as it was is read again."""
    caplog.set_level(logging.INFO)
    with Secured(own, "example.good.yml") as site:
        before = site.live.current
        for _ in range(3):
            site.live.refresh()
        assert site.live.current is before
        os.utime(own / "server.key")
        site.live.refresh()
        assert site.live.current is not before
        assert "the web configuration has changed: TLS, 2 users, 0 that may only read, any rate" in caplog.text


def test_files_that_come_with_a_change_are_watched(own: Path) -> None:
    """A certificate that an edited file names for the first time is looked at from then on."""
    with Secured(own, "empty.good.yml") as site:
        swap(site, "tls13.good.yml")
        site.live.refresh()
        before = serial(site)
        for suffix in ("crt", "key"):
            shutil.copy(own / f"renewed.{suffix}", own / f"server.{suffix}")
        site.live.refresh()
        assert serial(site) != before


def test_a_start_with_a_wrong_file(folder: Path) -> None:
    """Nothing is served by a configuration that is wrong from the start."""
    with pytest.raises(ConfigError):
        LiveWebConfig(folder / "users.bad.yml")


def test_without_a_file_nothing_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    """No path: open, at the start and after each reload."""
    live = LiveWebConfig()
    live.reload()
    live.refresh()
    assert (live.current.tls, live.current.users) == (None, {})
    assert not caplog.records


def test_a_broken_watch_goes_on(
    own: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What nobody has foreseen is in the log, and the next change is still seen."""
    with Secured(own, "users.good.yml") as site:
        with monkeypatch.context() as patch:
            patch.setattr(site.live, "refresh", lambda: socket.inet_aton("no address"))
            until(lambda: "could not be looked at" in caplog.text)
        swap(site, "roles.good.yml")
        until(lambda: site.status(headers=basic("bob")) == 401)
