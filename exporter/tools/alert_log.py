"""`ward-exporter alert-log`: prints what Alertmanager sends to a webhook; the receiver that needs no account."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import signal
import socket
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from exporter.fields import shown
from exporter.web.background import in_background
from exporter.web.server import Server, listen

log = logging.getLogger(__name__)

#: Of a whole inventory that is down at once, each device with long texts: some thousand alerts.
MAX_BYTES = 16 * 2**20
_STDOUT = 1
#: What tells the alerts of a group from each other, in the order in which a person asks.
_PLACE = ("site", "device", "address", "provider")
#: Go writes nanoseconds; Python reads microseconds.
_BELOW_MICROSECONDS = re.compile(r"(?<=\.\d{6})\d+")


class _WrongError(ValueError):
    """What is wrong with a notification, for the answer."""


def alert_log(address: str) -> int:
    """Serve until SIGTERM or SIGINT; raises ListenError."""
    listening = listen(address)
    log.info("waiting for notifications on port %d", listening.getsockname()[1])
    asyncio.run(_serve(listening))
    return 0


async def _serve(listening: socket.socket) -> None:
    # Chunks take more than what is in them, and what is too long shall have its answer.
    server = Server(create_app(_STDOUT), max_body=2 * MAX_BYTES)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listening])


def create_app(output: int) -> Starlette:
    """The ASGI application; what it prints goes to the file descriptor `output`."""
    turn = asyncio.Lock()

    async def notified(request: Request) -> Response:
        body = bytearray()
        try:
            async for piece in request.stream():
                body += piece
                if len(body) > MAX_BYTES:
                    return PlainTextResponse(f"a notification has at most {MAX_BYTES} bytes\n", 413)
            text = render(json.loads(body), datetime.now())
        except ClientDisconnect:
            return Response(status_code=400)
        except _WrongError as wrong:
            return PlainTextResponse(f"{wrong}\n", 400)
        except (ValueError, RecursionError) as error:
            return PlainTextResponse(f"no JSON: {error}\n", 400)
        try:
            # In order, and where nobody reads the output, with the server still there to end.
            async with turn:
                await in_background(lambda: _write_all(output, text.encode()))
        except OSError as error:
            # Alertmanager counts it as failed, and sends it again.
            return PlainTextResponse(f"cannot print: {error.strerror}\n", 500)
        return PlainTextResponse("printed\n")

    async def healthy(_: Request) -> Response:
        return PlainTextResponse("healthy\n")

    return Starlette(routes=[Route("/", notified, methods=["POST"]), Route("/-/healthy", healthy)])


def render(message: Any, now: datetime) -> str:
    """A notification in the webhook's format, version 4, as a header line and a line an alert; times are local."""
    _expect(isinstance(message, dict), "notification", message, "a JSON object")
    _expect(message.get("version") == "4", "version", message.get("version"), "'4'")
    _expect(isinstance(message.get("receiver"), str), "receiver", message.get("receiver"), "text")
    group = _texts(message.get("groupLabels"), "groupLabels")
    alerts = message.get("alerts")
    _expect(isinstance(alerts, list) and len(alerts) > 0, "alerts", alerts, "a list of at least one alert")
    lines = [_line(alert, f"alerts[{at}]") for at, alert in enumerate(alerts)]
    counts = Counter(alert["status"] for alert in alerts)
    about = [f"{counts[status]} {status}" for status in ("firing", "resolved") if counts[status]]
    about += [f"{name} {value}" for name, value in sorted(group.items()) if value]
    header = f"{_local(now)} {message['receiver']}: {', '.join(about)}"
    firing_first = sorted(zip(alerts, lines, strict=True), key=lambda pair: pair[0]["status"] != "firing")
    return "".join(f"{_printable(line)}\n" for line in (header, *(line for _, line in firing_first)))


def _line(alert: Any, path: str) -> str:
    _expect(isinstance(alert, dict), path, alert, "a JSON object")
    status = alert.get("status")
    _expect(status in ("firing", "resolved"), f"{path}.status", status, "'firing' or 'resolved'")
    labels = _texts(alert.get("labels"), f"{path}.labels")
    summary = _texts(alert.get("annotations"), f"{path}.annotations").get("summary")
    start = _local(_time(alert.get("startsAt"), f"{path}.startsAt"))
    if status == "firing":
        time = f"since {start}"
    else:
        time = f"{start} to {_local(_time(alert.get('endsAt'), f'{path}.endsAt'))}"
    place = [labels[name] for name in _PLACE if labels.get(name)] or [labels.get("instance", "")]
    words = [status.upper(), labels.get("severity", ""), labels.get("alertname", ""), *place]
    about = " ".join(word for word in words if word)
    return f"  {about}: {summary}, {time}" if summary else f"  {about}, {time}"


def _texts(value: Any, path: str) -> Mapping[str, str]:
    _expect(isinstance(value, dict), path, value, "a JSON object")
    for name, text in value.items():
        _expect(isinstance(text, str), f"{path}.{name}", text, "text")
    found: Mapping[str, str] = value
    return found


def _time(value: Any, path: str) -> datetime:
    expected = "a time with its zone, as in RFC 3339"
    _expect(isinstance(value, str), path, value, expected)
    try:
        found = datetime.fromisoformat(_BELOW_MICROSECONDS.sub("", value))
        # Near the years 1 and 9999 a time may have no local one.
        local = found.astimezone()
    except (ValueError, OverflowError):
        raise _wrong(path, value, expected) from None
    _expect(found.tzinfo is not None, path, value, expected)
    return local


def _expect(right: bool, path: str, value: Any, expected: str) -> None:
    if not right:
        raise _wrong(path, value, expected)


def _wrong(path: str, value: Any, expected: str) -> _WrongError:
    return _WrongError(f"{path}: found {shown(value)}; expected {expected}")


def _local(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _printable(line: str) -> str:
    """Escape what could move a terminal's cursor, or make two lines of one."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


def _write_all(output: int, text: bytes) -> None:
    while text:
        text = text[os.write(output, text) :]
