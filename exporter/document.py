"""A configuration or inventory text as plain values, with the line of each value.

YAML, JSON and CSV all become dicts, lists and scalars; `Document.places` knows where each was written, for
when a problem has to be told. Reading is strict UTF-8, bounded to `MAX_BYTES`.
"""

from __future__ import annotations

import csv
import json
import re
import stat
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from exporter import document_yaml
from exporter.errors import ConfigError, Problem

#: The way to a value: mapping keys and list positions.
Way = tuple[str | int, ...]

MAX_BYTES = 32 * 2**20
SUFFIXES = {".yml": "yaml", ".yaml": "yaml", ".json": "json", ".csv": "csv"}
_BOM = b"\xef\xbb\xbf"


class Places(Protocol):
    """Finds the line of a value; a way that leads nowhere gives the line of the last step that exists."""

    def line(self, way: Way) -> int | None: ...

    def raw(self, way: Way) -> str | None:
        """The scalar as it is written, where that is known and differs from the value."""


@dataclass(slots=True)
class Document:
    """One parsed text; `kind` is `yaml`, `json` or `csv`.

    The value of a CSV is `{"header": [...], "rows": [[...]]}`, every row as long as the header.
    """

    name: str
    kind: str
    value: Any
    places: Places
    #: What is wrong with the text although it could be read, such as a key that stands twice.
    faults: list[Problem] = field(default_factory=list)

    def problem(self, way: Way, message: str) -> Problem:
        """`message` as a problem of the value at `way`."""
        return Problem(self.name, self.places.line(way), show_way(way), message)


def show_way(way: Way) -> str:
    """`("devices", 3, "address")` as `devices[3].address`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{_show_key(step)}" for step in way)
    return text.removeprefix(".")


def _show_key(key: str) -> str:
    # A key is whatever the file holds: no line break or half a surrogate pair may reach a terminal or log.
    shown = key if key.isprintable() else ascii(key)
    return shown if len(shown) <= 80 else shown[:77] + "..."


def load_file(path: Path, *, as_written: bool = False) -> Document:
    """The document in a regular file of at most `MAX_BYTES`, by its suffix; raises ConfigError.

    With `as_written` the scalars of a YAML file stay text: for formats whose keys say how to read their values.
    """
    name = str(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        message = f"found a file ending in {path.suffix!r}; expected .yml, .json or .csv"
        raise ConfigError([Problem(name, None, "", message)])
    try:
        about = path.stat()
        if stat.S_ISDIR(about.st_mode):
            raise ConfigError([Problem(name, None, "", "is a directory; expected a file")])
        if not stat.S_ISREG(about.st_mode):
            raise ConfigError([Problem(name, None, "", "is a device or pipe; expected a regular file")])
        if about.st_size > MAX_BYTES:
            message = f"has {about.st_size} bytes; the limit is {MAX_BYTES}"
            raise ConfigError([Problem(name, None, "", message)])
        with path.open("rb") as file:
            # A file may have grown since the stat.
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError([Problem(name, None, "", f"cannot be read: {reason}")]) from error
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(name, None, "", f"is larger than the limit of {MAX_BYTES} bytes")])
    return parse(name, kind, data, as_written=as_written)


def parse(name: str, kind: str, data: bytes, *, as_written: bool = False) -> Document:
    """`data` as a document of `kind`; raises ConfigError with line and reason."""
    text = _decode(name, data)
    if kind == "csv":
        return _parse_csv(name, text)
    if kind == "json":
        return _parse_json(name, text)
    value, places, faults = document_yaml.load(name, text, as_written=as_written)
    return Document(name, kind, value, places, faults)


def _decode(name: str, data: bytes) -> str:
    start = len(_BOM) if data.startswith(_BOM) else 0
    try:
        return data[start:].decode()
    except UnicodeDecodeError as error:
        offset = start + error.start
        line = data.count(b"\n", 0, offset) + 1
        hint = "; it looks like UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        message = f"byte 0x{data[offset]:02x} at offset {offset} is not UTF-8{hint}: save the file as UTF-8"
        raise ConfigError([Problem(name, line, "", message)]) from error


# -- JSON --------------------------------------------------------------------------------------------------

_BLANK = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


@dataclass(slots=True)
class JsonPlaces:
    """Lines in a JSON text, found by decoding it again; each container on a way is indexed once."""

    text: str
    starts: dict[int, dict[str | int, int]] = field(default_factory=dict)
    breaks: array[int] | None = None

    def line(self, way: Way) -> int | None:
        offset = self._skip(0)
        for step in way:
            if self.text[offset : offset + 1] not in {"{", "["}:
                break
            if offset not in self.starts:
                self.starts[offset] = self._index(offset)
            following = self.starts[offset].get(step)
            if following is None:
                break
            offset = following
        if self.breaks is None:
            self.breaks = array("q", (found.start() for found in re.finditer("\n", self.text)))
        return bisect_left(self.breaks, offset) + 1

    def raw(self, way: Way) -> str | None:
        return None

    def _skip(self, offset: int) -> int:
        found = _BLANK.match(self.text, offset)
        return found.end() if found else offset

    def _index(self, offset: int) -> dict[str | int, int]:
        """Where each member of the object or array at `offset` starts; the text is known to be valid JSON."""
        text, members = self.text, dict[str | int, int]()
        keyed = text[offset] == "{"
        offset = self._skip(offset + 1)
        while text[offset] not in "}]":
            step: str | int = len(members)
            if keyed:
                step, offset = _DECODER.raw_decode(text, offset)
                offset = self._skip(self._skip(offset) + 1)
            members[step] = offset
            _, offset = _DECODER.raw_decode(text, offset)
            offset = self._skip(offset)
            if text[offset] == ",":
                offset = self._skip(offset + 1)
        return members


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _parse_json(name: str, text: str) -> Document:
    doubled: list[tuple[dict[str, Any], str]] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(items)
        if len(value) != len(items):
            keys = [key for key, _ in items]
            doubled.extend((value, key) for key in value if keys.count(key) > 1)
        return value

    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        ends = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
        cut = "; is the text cut short?" if ends else ""
        message = f"not valid JSON at column {error.colno}: {error.msg}{cut}"
        raise ConfigError([Problem(name, error.lineno, "", message)]) from error
    except RecursionError as error:
        raise ConfigError([Problem(name, None, "", "is nested too deeply")]) from error
    except ValueError as error:
        raise ConfigError([Problem(name, None, "", f"not valid JSON: {error}")]) from error
    document = Document(name, "json", value, JsonPlaces(text))
    if doubled:
        ways = _ways_of(value, {id(table) for table, _ in doubled})
        for table, key in doubled:
            way = (*ways[id(table)], key)
            document.faults.append(document.problem(way, f"the key {key!r} stands twice here"))
    return document


def _ways_of(value: Any, wanted: set[int]) -> dict[int, Way]:
    """The ways to the dicts whose identities are `wanted`."""
    found: dict[int, Way] = dict.fromkeys(wanted, ())
    todo: list[tuple[Way, Any]] = [((), value)]
    while todo:
        way, current = todo.pop()
        if id(current) in found:
            found[id(current)] = way
        members = current.items() if isinstance(current, dict) else enumerate(current)
        todo.extend(((*way, step), member) for step, member in members if isinstance(member, dict | list))
    return found


# -- CSV ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class CsvPlaces:
    """Lines of a CSV's rows: the way `("devices", 3, ...)` is the fourth row, anything else the header."""

    header: int
    rows: array[int]

    def line(self, way: Way) -> int | None:
        row = way[1] if len(way) > 1 and way[0] == "devices" else None
        return self.rows[row] if isinstance(row, int) and row < len(self.rows) else self.header

    def raw(self, way: Way) -> str | None:
        return None


def _parse_csv(name: str, text: str) -> Document:
    first = text.lstrip("\r\n").split("\n", 1)[0]
    # A spreadsheet in most of Europe separates with semicolons.
    delimiter = max(",;\t", key=first.count)
    # Line ends stay as they are, so that a quoted line break reaches a label unchanged.
    lines = _Lines(text)
    reader = csv.reader(lines, delimiter=delimiter, strict=True, skipinitialspace=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    starts = array("q")
    problems: list[Problem] = []
    header_line = start = 1
    try:
        for row in reader:
            if not any(row):
                pass
            elif header is None:
                header, header_line = [cell.strip() for cell in row], start
            elif len(row) != len(header):
                message = f"found {len(row)} cells; expected {len(header)}, as many as the header has"
                problems.append(Problem(name, start, f"devices[{len(rows) + len(problems)}]", message))
            else:
                rows.append(row)
                starts.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        reason = "a quotation mark is opened and never closed" if lines.ended else str(error)
        problems.append(Problem(name, start, "", f"not valid CSV: {reason}"))
        raise ConfigError(problems) from error
    value = {"header": header or [], "rows": rows}
    return Document(name, "csv", value, CsvPlaces(header_line, starts), problems)


class _Lines:
    """The lines of a text with their ends, split at line feeds only; `ended` once all are handed out."""

    __slots__ = ("ended", "source")

    def __init__(self, text: str) -> None:
        self.source = re.finditer(r"[^\n]*\n|[^\n]+", text)
        self.ended = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        found = next(self.source, None)
        if found is None:
            self.ended = True
            raise StopIteration
        return found[0]
