"""The wallboard's files: read once, from the package alone, and served with what browsers cache by."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources
from typing import NamedTuple

from starlette.responses import PlainTextResponse, Response

from exporter.web.page import wants_gzip

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_INDEX = "index.html"
#: Everything comes from here, nothing inline is run, and nobody else may frame the page.
POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'"
)


class _File(NamedTuple):
    content: bytes
    packed: bytes
    etag: str
    content_type: str


class Files:
    """The files by name."""

    def __init__(self) -> None:
        self._files = {
            place.name: _read(place.name, place.read_bytes())
            for place in resources.files("exporter.web").joinpath("wallboard").iterdir()
            if _suffix(place.name) in _TYPES
        }

    def index(self, headers: Mapping[str, str], status: int = 200) -> Response:
        return self._answer(self._files[_INDEX], headers, status)

    def answer(self, name: str, headers: Mapping[str, str]) -> Response:
        file = self._files.get(name)
        if file is None or name == _INDEX:
            return PlainTextResponse("Not Found", 404)
        return self._answer(file, headers, 200)

    @staticmethod
    def _answer(file: _File, headers: Mapping[str, str], status: int) -> Response:
        packed = wants_gzip(headers.get("accept-encoding", ""))
        etag = f'"{file.etag}-gzip"' if packed else f'"{file.etag}"'
        told = {
            "content-type": file.content_type,
            # A browser asks each time whether it is still the same: after an upgrade no old part meets a new one.
            "cache-control": "no-cache",
            "etag": etag,
            "vary": "accept-encoding",
            "content-security-policy": POLICY,
            "x-content-type-options": "nosniff",
            "referrer-policy": "same-origin",
        }
        known = {tag.strip().removeprefix("W/") for tag in headers.get("if-none-match", "").split(",")}
        if status == 200 and (etag in known or "*" in known):
            return Response(status_code=304, headers=told)
        if packed:
            told["content-encoding"] = "gzip"
        return Response(file.packed if packed else file.content, status, told)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _read(name: str, content: bytes) -> _File:
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _File(content, gzip.compress(content, 9, mtime=0), digest, _TYPES[_suffix(name)])
