"""How the house is built: which way imports go, what modules are called, how long they are, what they keep."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOUSE = ROOT / "exporter"
#: A folder may import those to its left, and the modules beside it that read text: never the other way.
ORDER = ("inventory", "icmp", "snmp", "state", "exposition", "web")
#: Modules of the top level that any folder may import, in the order in which they may import each other.
FOUNDATION = (
    *("__init__", "errors", "document_yaml", "document", "fields", "values", "addresses"),
    *("credentials", "config_auths", "config_snmp", "config"),
)
#: What the command line runs beside `serve`.
TOOLS = "tools"
#: Those that know the folders.
ROOTS = ("saver", "polling", "notify", "privileges", "memory", "service", "logs", "cli", "__main__")
LONGEST = 400
FORBIDDEN = {"utils", "util", "helpers", "helper", "common", "misc", "base", "core"}

MODULES = sorted(HOUSE.rglob("*.py"))
by_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(HOUSE)))


def imports(path: Path) -> Iterator[str]:
    """The exporter's own modules that a module imports, wherever in it, such as `state.columns`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name == "exporter" or name.startswith("exporter."):
                yield _module(name.split(".")[1:])


def _module(parts: list[str]) -> str:
    """The longest beginning of `parts` that is a module or package: the rest are names in it."""
    for length in range(len(parts), 0, -1):
        place = HOUSE.joinpath(*parts[:length])
        if place.with_suffix(".py").exists() or (place / "__init__.py").exists():
            return ".".join(parts[:length])
    return "__init__"


def room(module: str) -> str:
    """The folder of a module, or its own name at the top level."""
    return module.partition(".")[0]


def allowed(where: str) -> set[str]:
    """What may be imported in a folder, or in a module of the top level."""
    if where in ORDER:
        return {*FOUNDATION, *ORDER[: ORDER.index(where) + 1]}
    if where in FOUNDATION:
        return {"__init__", *FOUNDATION[: FOUNDATION.index(where) + 1]}
    if where == TOOLS:
        return {*FOUNDATION, *ORDER, TOOLS}
    return {*FOUNDATION, *ORDER, *ROOTS, TOOLS}


@by_module
def test_imports_go_one_way(path: Path) -> None:
    """inventory -> icmp -> snmp -> state -> exposition -> web; configuration knows none of them, service all."""
    module = ".".join(path.relative_to(HOUSE).with_suffix("").parts)
    for imported in imports(path):
        assert room(imported) in allowed(room(module)), f"{module} imports {imported}"


def test_every_module_has_a_place() -> None:
    """A new folder or top-level module is put into the order on purpose."""
    places = {room(".".join(path.relative_to(HOUSE).with_suffix("").parts)) for path in MODULES}
    assert places <= {*ORDER, *FOUNDATION, *ROOTS, TOOLS}


def test_nothing_imports_the_roots() -> None:
    """Service is imported by the command line alone, and the command line by nobody but `python -m`."""
    importers: dict[str, set[str]] = {}
    for path in MODULES:
        for imported in imports(path):
            importers.setdefault(imported, set()).add(str(path.relative_to(HOUSE)))
    assert importers["service"] == {"cli.py"}
    assert importers["cli"] == {"__main__.py"}
    assert importers["saver"] == {"service.py"}
    assert importers["logs"] == {"cli.py"}


@by_module
def test_modules_are_short_and_named_after_their_job(path: Path) -> None:
    """No module is longer than 400 lines, none is called after nothing, and each says what it is for."""
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST
    assert path.stem not in FORBIDDEN
    assert not text or ast.get_docstring(ast.parse(text)), "no docstring"


def test_tests_are_short_too() -> None:
    """Tests are read as much as code is."""
    long = [path.name for path in (ROOT / "tests").rglob("*.py") if len(path.read_text().splitlines()) > LONGEST]
    assert long == []


@by_module
def test_modules_keep_no_state(path: Path) -> None:
    """No module has a global that a function changes: no `global`, and no empty container waiting to be filled."""
    tree = ast.parse(path.read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for node in tree.body:
        value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
        empty = (
            (isinstance(value, ast.List | ast.Set) and not value.elts)
            or (isinstance(value, ast.Dict) and not value.keys)
            or (isinstance(value, ast.Call) and not value.args and _called(value) in _CONTAINERS)
        )
        assert not empty, f"{path}:{node.lineno}"


_CONTAINERS = {"list", "dict", "set", "deque", "defaultdict", "Counter", "OrderedDict", "Queue", "SimpleQueue"}


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
