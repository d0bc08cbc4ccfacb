"""How far a discovery has come, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

#: Adds to how many addresses are done with, and to how many there are: of pings, and of SNMP.
Step = Callable[[int, int], None]


def _nothing(done: int, total: int) -> None:
    """What is shown to nobody."""


@contextmanager
def progress(terminal: TextIO, addresses: int, snmp: bool) -> Iterator[tuple[Step, Step]]:
    """Two bars while the block runs, and afterwards no trace of them; nothing at all where no terminal is."""
    if not terminal.isatty():
        yield _nothing, _nothing
        return
    # Most runs of the program have nothing to show.
    from rich.console import Console  # noqa: PLC0415 - as said
    from rich.progress import (  # noqa: PLC0415 - as said
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=terminal), transient=True) as bars:

        def bar(description: str, total: int) -> Step:
            task = bars.add_task(description, total=total)
            state = [total]

            def step(done: int, more: int) -> None:
                state[0] += more
                bars.update(task, advance=done, total=state[0])

            return step

        yield bar("ping", addresses), bar("SNMP", 0) if snmp else _nothing
