"""One inventory answer over HTTP: bounded in time and size; secrets come from files and reach no message."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exporter import __version__
from exporter.config import UrlSource
from exporter.document import MAX_BYTES
from exporter.errors import SourceError

if TYPE_CHECKING:
    import requests

_SECRET_BYTES = 65_536


class Fetch:
    """The request under way for one URL, in a thread of its own.

    A thread, because requests bounds each wait for a byte and not their sum: a server that sends a byte of
    its header a second would hold a reload for hours. Such a thread is left behind, and no other starts.
    """

    def __init__(self, source: UrlSource) -> None:
        self.source = source
        self._thread: threading.Thread | None = None
        self._result: bytes | SourceError = SourceError("not asked yet")

    def start(self, timeout: float) -> None:
        """Send the request; `result()` has its end."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._result = SourceError(f"gave no complete answer within {timeout:g} s")
        _library()  # before the clock runs
        deadline = time.monotonic() + timeout
        self._thread = threading.Thread(target=self._run, args=(timeout, deadline), daemon=True)
        self._thread.start()

    def result(self, wait: float) -> bytes:
        """The body of the answer, after at most `wait` seconds; raises SourceError."""
        if self._thread is not None:
            self._thread.join(max(wait, 0))
        result = self._result
        if isinstance(result, SourceError):
            raise result
        return result

    def _run(self, timeout: float, deadline: float) -> None:
        late = self._result
        try:
            body: bytes | SourceError = _get(self.source, timeout, deadline)
        except SourceError as error:
            body = error
        # An answer that came too late must not pass for the next one's.
        self._result = body if time.monotonic() < deadline else late


def _library() -> Any:
    import requests  # noqa: PLC0415 - it costs 10 MB, and most inventories are files

    return requests


def _get(source: UrlSource, timeout: float, deadline: float) -> bytes:
    requests = _library()
    session = requests.Session()
    session.max_redirects = 5
    headers = {
        "Accept": "application/json",
        "User-Agent": f"ward-exporter/{__version__}",
        "X-Prometheus-Refresh-Interval-Seconds": f"{source.refresh:g}",
    }
    try:
        auth = _auth(source)
        answer = session.get(source.url, auth=auth, headers=headers, timeout=timeout, stream=True)
        with session, answer as response:
            return _body(response, deadline)
    except requests.exceptions.Timeout as error:
        raise SourceError(f"gave no answer within {timeout:g} s") from error
    except requests.exceptions.TooManyRedirects as error:
        raise SourceError("redirects in a circle") from error
    except (requests.exceptions.RequestException, OSError, ValueError) as error:
        raise SourceError(f"cannot be read: {_reason(error)}") from error


def _body(response: requests.Response, deadline: float) -> bytes:
    if response.status_code != 200:
        raise SourceError(f"answered {response.status_code} {response.reason}; expected 200")
    too_large = SourceError(f"answered more than the limit of {MAX_BYTES} bytes")
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > MAX_BYTES:
        raise too_large
    body = bytearray()
    for part in response.iter_content(65_536):
        body += part
        if len(body) > MAX_BYTES:
            raise too_large
        if time.monotonic() > deadline:
            raise SourceError("gave no complete answer in time")
    start = bytes(body[:200]).lstrip().lower()
    if start.startswith(b"<") or "html" in response.headers.get("Content-Type", ""):
        raise SourceError("answered with an HTML page (a login, or an error?); expected JSON")
    return bytes(body)


def _auth(source: UrlSource) -> Any:
    if source.password_file is not None:
        return source.username.encode(), _secret(source.password_file).encode()
    if source.bearer_token_file is None:
        return None
    token = _secret(source.bearer_token_file)
    if not token.isascii() or not token.isprintable() or " " in token:
        # The HTTP library would refuse it too, with the token in its message.
        raise SourceError(f"the token in {source.bearer_token_file} is not one word of ASCII")

    def bearer(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    # An auth function, because a plain header gives way to what a .netrc says.
    return bearer


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            found = file.read(_SECRET_BYTES).decode().rstrip("\r\n")
    except OSError as error:
        raise SourceError(f"the secret file {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"the secret file {path} is not UTF-8 text") from error
    if not found:
        raise SourceError(f"the secret file {path} is empty")
    return found


def _reason(error: BaseException) -> str:
    """The innermost reason of the operating system or TLS; the library's own text repeats the whole URL."""
    found: BaseException | None = error
    reason = type(error).__name__
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        if isinstance(found, OSError) and found.strerror:
            reason = found.strerror
        inner = getattr(found, "reason", None)
        found = inner if isinstance(inner, BaseException) else found.__context__
    return reason
