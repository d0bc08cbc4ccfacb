"""Tables of keys, and the reader that holds a document against one.

A schema is a check for one scalar, a `Table` of known keys, a `ListOf` or a `MapOf`. Reading does not stop
at a problem: it gives what is right and notes a `Problem`, with its place, for each thing that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from exporter.document import Document, Way, show_way
from exporter.errors import Problem

#: Turns a scalar as it was written into the value that is meant; raises WrongError.
Check = Callable[[Any], Any]


class WrongError(ValueError):
    """What a check expected in place of what it got; becomes a Problem before it leaves the reader.

    With `unquoted` the value would have been right as text, but its format read it as something else.
    `instead` takes the place of the value in the message, where that may hold a secret.
    """

    def __init__(self, expected: str, *, unquoted: bool = False, instead: str = "") -> None:
        self.expected = expected
        self.unquoted = unquoted
        self.instead = instead
        super().__init__(expected)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping with these keys. `hints` has a sentence for keys that people try and that do not exist.

    What stands in place of a `private` one, or of one of its keys, may be a secret: no message repeats it.
    """

    keys: Mapping[str, Schema]
    required: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)
    private: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of items of one schema; an item that is wrong is read as ABSENT, so that positions hold."""

    item: Schema


@dataclass(frozen=True, slots=True)
class MapOf:
    """A mapping whose keys are the user's own."""

    key: Check
    item: Schema


_NESTED = (Table, ListOf, MapOf)
Schema = Check | Table | ListOf | MapOf

#: Stands for a value that was absent or wrong.
ABSENT: Any = object()


class Reader:
    """Reads the values of one document; `problems` grows by each thing that is wrong."""

    def __init__(self, document: Document, problems: list[Problem]) -> None:
        self.document = document
        self.problems = problems

    def problem(self, way: Way, message: str) -> None:
        """Note what is wrong with the value at `way`."""
        self.problems.append(self.document.problem(way, message))

    def read(self, schema: Schema, value: Any, way: Way) -> Any:
        """The value as `schema` means it, or ABSENT if it is null or wrong as a whole."""
        if value is None:
            return ABSENT
        if isinstance(schema, Table):
            return self.table(schema, value, way)
        if isinstance(schema, ListOf):
            return self._list(schema, value, way)
        if isinstance(schema, MapOf):
            return self._map(schema, value, way)
        try:
            return schema(value)
        except WrongError as wrong:
            self.problem(way, self._message(wrong, value, way))
            return ABSENT

    def table(self, schema: Table, value: Any, way: Way) -> Any:
        """A dict of the keys that are present and right; ABSENT if `value` is no mapping."""
        if not isinstance(value, dict):
            self.problem(way, f"found {_found(schema, value)}; expected a mapping of {listed(schema.keys)}")
            return ABSENT
        result: dict[str, Any] = {}
        keys = schema.keys
        for key, member in value.items():
            inner = keys.get(key)
            if inner is None:
                self.unknown(schema, key, (*way, key))
            elif not isinstance(inner, _NESTED):
                # The same as read() does, without a call: nearly all of a large inventory is this.
                try:
                    if member is not None:
                        result[key] = inner(member)
                except WrongError as wrong:
                    self.problem((*way, key), self._message(wrong, member, (*way, key)))
            elif (checked := self.read(inner, member, (*way, key))) is not ABSENT:
                result[key] = checked
        for key in schema.required:
            if value.get(key) is None:
                self.problem(way, f"the key {key!r} is missing")
        return result

    def unknown(self, schema: Table, key: str, way: Way, what: str = "key") -> None:
        """Note a key that the table does not have."""
        hint = schema.hints.get(key) or did_you_mean(key, schema.keys)
        hint = hint or f"expected one of {listed(schema.keys)}"
        if schema.private:
            # `{community public}` is a key too, by the letter.
            line = self.document.places.line(way)
            self.problems.append(Problem(self.document.name, line, show_way(way[:-1]), f"unknown key; {hint}"))
            return
        self.problem(way, f"unknown {what} {shown(key)}; {hint}")

    def _list(self, schema: ListOf, value: Any, way: Way) -> Any:
        if not isinstance(value, list):
            self.problem(way, f"found {shown(value)}; expected a list")
            return ABSENT
        for position, member in enumerate(value):
            if member is None:
                self.problem((*way, position), "found an empty item")
        return [self.read(schema.item, member, (*way, position)) for position, member in enumerate(value)]

    def _map(self, schema: MapOf, value: Any, way: Way) -> Any:
        if not isinstance(value, dict):
            self.problem(way, f"found {_found(schema.item, value)}; expected a mapping")
            return ABSENT
        result = {}
        for key, member in value.items():
            name = self.read(schema.key, key, (*way, key))
            checked = self.read(schema.item, {} if member is None else member, (*way, key))
            if name is not ABSENT and checked is not ABSENT:
                result[name] = checked
        return result

    def _message(self, wrong: WrongError, value: Any, way: Way) -> str:
        if not wrong.unquoted:
            return f"found {wrong.instead or shown(value)}; expected {wrong.expected}"
        raw = self.document.places.raw(way)
        if raw is None:
            return f"found {shown(value)}; expected {wrong.expected}, in quotes"
        read_as = f", which YAML reads as {shown(value)}" if shown(value) != f"the number {raw}" else ""
        return f'found {raw} without quotes{read_as}; expected {wrong.expected}: quote it, "{raw}"'


def _found(schema: Schema, value: Any) -> str:
    """What stands in place of a mapping."""
    if isinstance(schema, Table) and schema.private and not isinstance(value, list):
        return "a single value"
    return shown(value)


def shown(value: Any) -> str:
    """A value as a message names it: bounded, and never the inside of a mapping or list."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:57] + "...")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # Python refuses to write integers of thousands of digits.
        huge = isinstance(value, int) and abs(value) >= 10**20
        return "a huge number" if huge else f"the number {value}"
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, dict) else "a list"


def listed(words: Iterable[str]) -> str:
    """Words as a message lists them."""
    return ", ".join(words)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'interval'?`, or "" if nothing comes close; capital letters count for nothing."""
    folded = {name.lower(): name for name in known}
    close = get_close_matches(word.lower(), folded, n=1, cutoff=0.7)
    return f"did you mean {folded[close[0]]!r}?" if close else ""
