"""The wallboard's files as they are served: whole, cached, packed, and bound to this server alone."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import exporter
from tests.web.site import NASTY, Web

FOLDER = Path(exporter.__file__).parent / "web" / "wallboard"


def test_the_page_and_its_files(site: Web) -> None:
    """Each file that the page or a module names is there, with its type, and no file is there for nothing."""
    types = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
    page = site.ask("/")[2].decode()
    named = set(re.findall(r'"/wallboard/([\w.]+)"', page))
    for path in FOLDER.glob("*.js"):
        named |= set(re.findall(r'from "\./([\w.]+)"', path.read_text()))
    assert named == {path.name for path in FOLDER.iterdir()} - {"index.html"}
    for name in named:
        status, headers, body = site.ask(f"/wallboard/{name}")
        assert (status, body) == (200, (FOLDER / name).read_bytes())
        assert headers["content-type"].split(";")[0] == types[Path(name).suffix]


def test_links_of_the_page(site: Web) -> None:
    """Every endpoint that the page leads to is there."""
    page = site.ask("/")[2].decode()
    links = set(re.findall(r'<a href="(/.*?)"', page))
    assert {"/metrics", "/metrics/snmp", "/sd", "/api/v1/devices"} < links
    assert {link: site.ask(link)[0] for link in links} == dict.fromkeys(links, 200)


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(site: Web) -> None:
    """The policy allows this server's files alone; the page needs no more: no inline script, style or handler, and
    no address of another host in any file."""
    for path in ("/", "/device/isp-a", "/wallboard/main.js"):
        headers = site.ask(path)[1]
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
    page = (FOLDER / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page)
    for path in FOLDER.iterdir():
        found = re.findall(r"https?://[^\s\"')]+", path.read_text())
        assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name


def test_caching(site: Web) -> None:
    """A file that a browser has is not sent again: 304 and no body; packed, it has a tag of its own."""
    for path in ("/", "/wallboard/main.js"):
        status, headers, body = site.ask(path)
        assert (status, headers["cache-control"]) == (200, "no-cache")
        tag = headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            status, told, rest = site.ask(path, headers={"if-none-match": known})
            assert (status, told["etag"], rest) == (304, tag, b"")
        assert site.ask(path, headers={"if-none-match": '"other"'})[::2] == (200, body)
        status, told, packed = site.ask(path, headers={"accept-encoding": "gzip", "if-none-match": tag})
        assert (status, told["content-encoding"], told["vary"]) == (200, "gzip", "accept-encoding")
        assert told["etag"] != tag
        assert gzip.decompress(packed) == body
        assert site.ask(path, "HEAD")[1]["content-length"] == str(len(body))


def test_no_other_file_is_served(site: Web) -> None:
    """A name that is not the page's is a 404, whatever it is made of."""
    for name in (
        "none.js",
        "index.html",
        "..%2fapp.py",
        "../app.py",
        "%2e%2e/app.py",
        "",
        "main.js/",
        ".",
        "main.js%00",
    ):
        assert site.ask(f"/wallboard/{name}")[0] == 404


def test_the_page_of_a_device(site: Web) -> None:
    """Any device's address gives the page, names with slashes too; a name that nobody has gives it with a 404."""
    page = site.ask("/")[2]
    for name in ("isp-a", "a/b%20c", "%E1%83%97%E1%83%91%E1%83%98%E1%83%9A%E1%83%98%E1%83%A1%E1%83%98"):
        assert site.ask(f"/device/{name}")[::2] == (200, page)
    assert site.ask("/device/nobody")[::2] == (404, page)
    assert NASTY.encode() not in page
