"""YAML 1.1 text to plain values with their lines, straight from libyaml's events.

Not from `yaml.load`: that builds a node tree by recursion in C, which ends the process on deeply nested text,
takes three times as long, and lets the last of two equal keys win. Merge keys (`<<`) and aliases work, within
bounds. Dates stay text: what they mean is decided where they are used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from exporter.errors import ConfigError, Problem

MAX_DEPTH = 32
#: Nodes that aliases may stand for, all told: what a small file may pretend to hold.
MAX_EXPANDED = 1_000_000

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TAG = "tag:yaml.org,2002:"
_SCALARS = yaml.constructor.SafeConstructor()
#: Neither tag nor alias is named in a message: it may be a password that should have been quoted.
_TAGGED = "tags are not supported; text that starts with ! needs quotes"
_EMPTY = {"int": "a number", "float": "a number", "bool": "a boolean"}


@dataclass(slots=True)
class _Place:
    """Where a mapping or list stands; a member is its line, or (line, raw text) for a scalar but no text."""

    line: int
    members: dict[str | int, Any] = field(default_factory=dict)


@dataclass(slots=True)
class YamlPlaces:
    """Lines of the values of one YAML text."""

    root: Any

    def line(self, way: tuple[str | int, ...]) -> int | None:
        place, line = self.root, _line(self.root)
        for step in way:
            if not isinstance(place, _Place) or step not in place.members:
                break
            place = place.members[step]
            line = _line(place)
        return line

    def raw(self, way: tuple[str | int, ...]) -> str | None:
        place = self.root
        for step in way:
            if not isinstance(place, _Place) or step not in place.members:
                return None
            place = place.members[step]
        return cast(str, place[1]) if isinstance(place, tuple) else None


def _line(place: Any) -> int:
    if isinstance(place, _Place):
        return place.line
    return cast(int, place[0] if isinstance(place, tuple) else place)


def _at(mark: Any) -> int:
    """The line of one of PyYAML's marks, which count from 0."""
    return cast(int, mark.line) + 1 if mark else 1


@dataclass(slots=True)
class _Open:
    """A mapping or list whose end has not come yet."""

    value: Any
    place: _Place
    anchor: str | None
    first_node: int
    key: str | None = None
    key_line: int = 0
    merges: list[tuple[Any, Any]] = field(default_factory=list)


def load(name: str, text: str, *, as_written: bool = False) -> tuple[Any, YamlPlaces, list[Problem]]:
    """The value of the one document in `text` (None if it is empty), its lines, and its faults.

    Faults are keys that stand twice or are no text: the rest can still be read. Raises ConfigError where not.
    With `as_written` every scalar but null is text, as it stands: 1.30 is no number there, and 1 may be a key.
    """
    reader = _Reader(name, as_written=as_written)
    value, places = reader.read(text)
    return value, places, reader.problems


class _Reader:
    def __init__(self, name: str, *, as_written: bool) -> None:
        self.name = name
        self.as_written = as_written
        self.problems: list[Problem] = []
        self.stack: list[_Open] = []
        self.anchors: dict[str, tuple[Any, Any, int]] = {}
        self.nodes = 0
        self.expanded = 0
        self.root: tuple[Any, Any] | None = None
        self.documents = 0

    def read(self, text: str) -> tuple[Any, YamlPlaces]:
        try:
            for event in yaml.parse(text, Loader=_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            raise ConfigError([*self.problems, self._from_yaml(error, text)]) from error
        except yaml.reader.ReaderError as error:
            line = text.encode()[: error.position].count(b"\n") + 1
            problem = Problem(self.name, line, "", f"not valid YAML: {error.reason}")
            raise ConfigError([*self.problems, problem]) from error
        value, place = self.root or (None, 1)
        return value, YamlPlaces(place)

    def _from_yaml(self, error: yaml.MarkedYAMLError, text: str) -> Problem:
        mark = error.problem_mark or error.context_mark
        line = _at(mark)
        context = f" {error.context}" if error.context else ""
        if context and error.context_mark and _at(error.context_mark) != line:
            context += f" that starts on line {_at(error.context_mark)}"
        before = "".join(text.split("\n")[line - 1 : line])[: mark.column + 1 if mark else 0]
        hint = "; YAML is indented with spaces, not tabs" if "\t" in before else ""
        return Problem(self.name, line, "", f"not valid YAML{context}: {error.problem}{hint}")

    def _stop(self, line: int, message: str) -> ConfigError:
        return ConfigError([*self.problems, Problem(self.name, line, self._way(), message)])

    def _way(self) -> str:
        """The way to what is being read, as in `devices[3].address`."""
        steps = (
            f"[{len(part.value)}]" if isinstance(part.value, list) else f".{part.key}"
            for part in self.stack
            if part.key is not None or isinstance(part.value, list)
        )
        return "".join(steps).removeprefix(".")

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            line = _at(event.start_mark)
            if len(self.stack) >= MAX_DEPTH:
                raise self._stop(line, f"nested more than {MAX_DEPTH} levels deep")
            keyed = isinstance(event, yaml.MappingStartEvent)
            if event.tag not in {None, "!", _TAG + ("map" if keyed else "seq")}:
                raise self._stop(line, _TAGGED)
            self.nodes += 1
            self.stack.append(_Open({} if keyed else [], _Place(line), event.anchor, self.nodes))
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self._stop(_at(event.start_mark), "found a second document ('---'); expected one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        line = _at(event.start_mark)
        self.nodes += 1
        value: Any = event.value
        kind = _kind(event)
        if self.as_written and kind in {"bool", "int", "float"}:
            kind = "str"
        merging = kind == "merge" and self._wants_key()
        if kind in {"str", "merge"}:
            place: Any = line
        else:
            value, place = self._plain(event, kind, line), (line, event.value)
        if event.anchor is not None:
            self.anchors[event.anchor] = (value, place, 1)
        self._add(value, place, line, merging=merging)

    def _wants_key(self) -> bool:
        return bool(self.stack) and self.stack[-1].key is None and isinstance(self.stack[-1].value, dict)

    def _plain(self, event: yaml.ScalarEvent, kind: str, line: int) -> Any:
        if kind == "null":
            return None
        if kind not in {"bool", "int", "float"}:
            raise self._stop(line, _TAGGED)
        try:
            node = yaml.ScalarNode(_TAG + kind, event.value)
            return getattr(_SCALARS, f"construct_yaml_{kind}")(node)
        except (ValueError, KeyError, OverflowError, IndexError) as error:
            raise self._stop(line, f"found {event.value[:60]!r}; expected {_EMPTY[kind]}") from error

    def _alias(self, event: yaml.AliasEvent) -> None:
        line = _at(event.start_mark)
        known = self.anchors.get(event.anchor or "")
        if known is None:
            inside = any(part.anchor == event.anchor for part in self.stack)
            reason = "stands for a value that it is itself part of" if inside else "has no anchor before it"
            raise self._stop(line, f"the alias here {reason}; text that starts with * needs quotes")
        value, place, size = known
        self.nodes += size
        self.expanded += size
        if self.expanded > MAX_EXPANDED:
            raise self._stop(line, f"the aliases stand for more than {MAX_EXPANDED} values")
        self._add(value, place, line)

    def _close(self) -> None:
        part = self.stack.pop()
        if part.merges:
            self._merge(part)
        if part.anchor is not None:
            self.anchors[part.anchor] = (part.value, part.place, self.nodes - part.first_node + 1)
        if self.stack and self.stack[-1].key is not None:
            # Where the key stands, not the first member lines below it.
            part.place.line = self.stack[-1].key_line
        self._add(part.value, part.place, part.place.line)

    def _add(self, value: Any, place: Any, line: int, *, merging: bool = False) -> None:
        if not self.stack:
            self.root = (value, place)
            return
        part = self.stack[-1]
        if isinstance(part.value, list):
            part.place.members[len(part.value)] = place
            part.value.append(value)
        elif part.key is None:
            part.key, part.key_line = self._key(value, place, line), line
            if merging:
                part.key = "<<"
        else:
            key, part.key = part.key, None
            if key == "<<":
                part.merges.append((value, place))
                return
            if key in part.value:
                first = _line(part.place.members[key])
                message = f"the key {key!r} stands twice in this mapping, first on line {first}"
                way = f"{self._way()}.{key}".removeprefix(".")
                self.problems.append(Problem(self.name, part.key_line, way, message))
            part.value[key] = value
            # The key's line, not the value's: a value may start lines below its key.
            part.place.members[key] = place if isinstance(place, tuple | _Place) else part.key_line

    def _key(self, value: Any, place: Any, line: int) -> str:
        if isinstance(value, str):
            return value
        if isinstance(place, tuple):
            message = f'found the key {place[1]}, which YAML does not read as text: quote it, "{place[1]}"'
            self.problems.append(Problem(self.name, line, "", message))
            return str(place[1])
        raise self._stop(line, "found a mapping or list as a key; expected text")

    def _merge(self, part: _Open) -> None:
        """YAML's merge key: what the mapping says itself wins, then the merged ones in their order."""
        for value, place in part.merges:
            sources, places = [value], [place]
            if isinstance(value, list):
                sources, places = value, list(place.members.values())
            for source, source_place in zip(sources, places, strict=True):
                if not isinstance(source, dict):
                    raise self._stop(_line(place), "expected a mapping, or a list of them, after '<<'")
                for key, member in source.items():
                    if key not in part.value:
                        part.value[key] = member
                        part.place.members[key] = source_place.members[key]


def _kind(event: yaml.ScalarEvent) -> str:
    """The YAML 1.1 type of a scalar; timestamps count as text."""
    if event.implicit[0]:
        text = event.value
        for tag, pattern in _LOADER.yaml_implicit_resolvers.get(text[:1], ()):
            if pattern.match(text):
                kind = str(tag).removeprefix(_TAG)
                return "str" if kind in {"timestamp", "value"} else kind
        return "str"
    if event.tag in {None, "!", _TAG + "str"}:
        return "str"
    return str(event.tag).removeprefix(_TAG)
