"""Reads every source of the inventory; a URL that fails keeps its last good answer, also over a restart."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from exporter.config import FileSource, Settings, UrlSource
from exporter.document import MAX_BYTES, Document, load_file, parse
from exporter.errors import ConfigError, Problem, SourceError
from exporter.inventory.build import build
from exporter.inventory.device import Inventory
from exporter.inventory.fetch import Fetch
from exporter.inventory.parse import Entries, parse_inventory

URL_TIMEOUT = 10.0


class SourceStatus(NamedTuple):
    """How a source stands: `ok` at the last read, devices it gave, unix time of its last good answer or 0."""

    ok: bool
    devices: int
    last_success: float


class _Url:
    """What is known of one URL: its last good answer, and how the last attempt ended."""

    def __init__(self, source: UrlSource) -> None:
        self.source = source
        self.fetch = Fetch(source)
        self.asked_at: float | None = None
        self.good: bytes | None = None
        self.good_at = 0.0
        self.fresh: bytes | None = None
        self.failure = ""

    def is_due(self, now: float) -> bool:
        # A timer that fires a moment early must not cost a whole period.
        return self.asked_at is None or now - self.asked_at >= 0.95 * self.source.refresh

    def adopt(self) -> None:
        """The fresh answer has proved itself."""
        if self.fresh is not None:
            self.good, self.fresh, self.good_at, self.failure = self.fresh, None, time.time(), ""

    def reject(self, reason: str) -> None:
        self.fresh = None
        self.failure = reason

    def warning(self) -> str:
        if not self.failure:
            return ""
        if self.good is None:
            return f"{self.source.url}: {self.failure}; it has given no devices so far"
        since = datetime.fromtimestamp(self.good_at, UTC).isoformat(timespec="seconds")
        return f"{self.source.url}: {self.failure}; its last good answer, of {since}, is used"


class Sources:
    """The inventory's sources. `read()` is for one thread at a time; `status` may be read by any.

    `cache` is a directory for the last good answers of URLs, made when needed; None keeps them in memory.
    `former` are the sources that these replace: its URLs' last good answers are this one's to begin with.
    `timeout` bounds a URL's whole answer, in seconds.
    With `growing` the inventory may be empty yet, and parents may be missing; the file `without` is left out.
    """

    def __init__(
        self,
        settings: Settings,
        cache: Path | None = None,
        former: Sources | None = None,
        *,
        growing: bool = False,
        without: Path | None = None,
    ) -> None:
        self.settings = settings
        self.cache = cache
        self._growing = growing
        self._without = None if without is None else without.resolve()
        self.timeout = URL_TIMEOUT
        self.status: Mapping[str, SourceStatus] = {}
        urls = (source for source in settings.inventory if isinstance(source, UrlSource))
        self._urls = {source.url: _Url(source) for source in urls}
        if former is not None:
            for address in self._urls.keys() & former._urls.keys():
                known = former._urls[address]
                self._urls[address].good, self._urls[address].good_at = known.good, known.good_at
        self._cache_is_read = False
        self._counts: dict[str, int] = {}
        self._faultless: set[str] = set()
        self._read_at: dict[str, float] = {}

    @property
    def next_refresh(self) -> float | None:
        """Seconds from one read() to the next that the URLs ask for; None without URLs."""
        return min((url.source.refresh for url in self._urls.values()), default=None)

    def read(self, *, force: bool = False) -> Inventory:
        """The inventory as the sources have it now; raises ConfigError with every problem.

        URLs are asked when their refresh time has come; all of them with `force`, for a reload by hand.
        """
        warnings: list[str] = []
        refused = self._ask(time.monotonic(), force)
        try:
            inventory = self._assemble(refused)
        except ConfigError as error:
            suspects = [url for url in self._urls.values() if url.fresh is not None and url.good is not None]
            if not suspects:
                self._give_up()
                raise
            # Answers that are right one by one can contradict the rest, such as by a name that is taken.
            for url in suspects:
                url.reject(f"its answer does not fit the rest of the inventory: {error.problems[0]}")
            try:
                inventory = self._assemble(refused)
            except ConfigError:
                # Without them it is no better: they are not to blame.
                for url in suspects:
                    url.failure = ""
                self._give_up()
                raise error from None
        for url in self._urls.values():
            is_new = url.fresh is not None and url.fresh != url.good
            url.adopt()
            if is_new:
                warnings.extend(self._save(url))
        warnings.extend(filter(None, (url.warning() for url in self._urls.values())))
        self._note_status()
        return Inventory(inventory.devices, inventory.sites, (*warnings, *inventory.warnings))

    def _ask(self, now: float, force: bool) -> list[Problem]:
        """Ask the URLs that are due; what is wrong with answers that have no good one to fall back on."""
        self._read_cache()
        problems: list[Problem] = []
        due = [url for url in self._urls.values() if force or url.is_due(now)]
        for url in due:
            url.asked_at = now
            url.fetch.start(self.timeout)
        end = time.monotonic() + self.timeout
        for url in due:
            try:
                body = url.fetch.result(end - time.monotonic())
                count, found = self._try(url.source.url, body)
            except SourceError as error:
                url.reject(str(error))
                continue
            if found:
                url.reject(f"{len(found)} problem(s) in its answer, the first: {found[0]}")
                problems.extend(found if url.good is None else ())
            elif not count:
                url.reject("its answer holds no devices")
            else:
                url.fresh = body
        return problems

    @staticmethod
    def _try(name: str, body: bytes) -> tuple[int, list[Problem]]:
        """How many devices an answer holds, and what is wrong with it by itself."""
        entries = Entries()
        problems: list[Problem] = []
        try:
            parse_inventory(parse(name, "json", body), entries, problems)
        except ConfigError as error:
            problems.extend(error.problems)
        return len(entries.devices), problems

    def _assemble(self, refused: list[Problem]) -> Inventory:
        problems = list(refused)
        entries = Entries()
        seen: set[Path] = set()
        self._faultless.clear()
        for source in self.settings.inventory:
            before, faults = len(entries.devices), len(problems)
            if isinstance(source, FileSource):
                for path in self._files(source, problems):
                    # Two globs may both match a file, which is then read once.
                    if (real := path.resolve()) not in seen and real != self._without:
                        seen.add(real)
                        _collect(partial(load_file, path), entries, problems)
                name = source.pattern
                if len(problems) == faults:
                    self._faultless.add(name)
                    self._read_at[name] = time.time()
            else:
                url, name = self._urls[source.url], source.url
                body = url.good if url.fresh is None else url.fresh
                if body is not None:
                    _collect(partial(parse, name, "json", body), entries, problems)
            self._counts[name] = len(entries.devices) - before
        some_are_missing = self._growing or any(
            url.good is None and url.fresh is None for url in self._urls.values()
        )
        inventory = build(entries, self.settings, problems, parents_may_be_missing=some_are_missing)
        if not problems and not inventory.devices and not self._growing:
            problems.extend(self._why_empty())
        if problems:
            files = {problem.file: position for position, problem in reversed([*enumerate(problems)])}
            raise ConfigError(sorted(problems, key=lambda one: (files[one.file], one.line or 0)))
        return inventory

    def _why_empty(self) -> list[Problem]:
        file = str(self.settings.path)
        reasons = [
            Problem(file, url.source.line, "inventory", f"{url.source.url}: {url.failure}")
            for url in self._urls.values()
            if url.failure
        ]
        return [
            *reasons,
            Problem(file, None, "inventory", "the sources hold no devices; expected at least one"),
        ]

    def _files(self, source: FileSource, problems: list[Problem]) -> list[Path]:
        folder = self.settings.path.parent
        if not glob.has_magic(source.pattern):
            return [folder / source.pattern]
        found = glob.glob(source.pattern, root_dir=folder, recursive=True)  # noqa: PTH207 - Path.glob refuses absolute patterns
        paths = [folder / name for name in sorted(found) if not (folder / name).is_dir()]
        if not paths and not self._growing:
            message = f"no file matches {source.pattern!r} in {folder.resolve()}"
            problems.append(Problem(str(self.settings.path), source.line, "inventory", message))
        return paths

    def _give_up(self) -> None:
        """This read has failed: none of its answers is adopted."""
        for url in self._urls.values():
            url.fresh = None
            # Asked again at the next read: a person who mends a file does not wait for the refresh time.
            url.asked_at = None
        self._note_status()

    def _note_status(self) -> None:
        status = {}
        for source in self.settings.inventory:
            if isinstance(source, UrlSource):
                url, name = self._urls[source.url], source.url
                ok, success = not url.failure, url.good_at
            else:
                name = source.pattern
                ok, success = name in self._faultless, self._read_at.get(name, 0.0)
            status[name] = SourceStatus(ok, self._counts.get(name, 0), success)
        self.status = status

    # -- the cache -----------------------------------------------------------------------------------------

    def _cache_file(self, url: _Url) -> Path | None:
        name = hashlib.sha256(url.source.url.encode()).hexdigest()[:32]
        return None if self.cache is None else self.cache / f"inventory-{name}.json"

    def _read_cache(self) -> None:
        """Take over good answers of an earlier run, where they are still right by today's checks."""
        if self._cache_is_read:
            return
        self._cache_is_read = True
        for url in self._urls.values():
            path = self._cache_file(url)
            if path is None or url.good is not None:
                continue
            with contextlib.suppress(OSError):
                about = path.stat()
                if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
                    continue
                body = path.read_bytes()
                count, problems = self._try(url.source.url, body)
                if count and not problems:
                    url.good, url.good_at = body, about.st_mtime

    def _save(self, url: _Url) -> list[str]:
        """Keep a good answer on disk, whole or not at all; a warning if that fails."""
        path = self._cache_file(url)
        if path is None or url.good is None:
            return []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".inventory-", delete=False) as file:
                try:
                    file.write(url.good)
                    file.flush()
                    os.fsync(file.fileno())
                    Path(file.name).replace(path)
                except OSError:
                    Path(file.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            return [f"{path}: the answer of {url.source.url} cannot be kept: {error.strerror}"]
        return []


def _collect(load: Callable[[], Document], entries: Entries, problems: list[Problem]) -> None:
    try:
        parse_inventory(load(), entries, problems)
    except ConfigError as error:
        problems.extend(error.problems)
