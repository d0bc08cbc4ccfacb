"""The file of --web.config.file: what is accepted, what is refused and how, and what exporter-toolkit says."""

from __future__ import annotations

import io
import os
import re
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter.errors import ConfigError, Problem
from exporter.tools.check import check
from exporter.web.web_config import READ_ONLY, WEB, Rate, WebConfig, examine_web_config
from tests.config.test_documentation import keys
from tests.config.test_settings import expected
from tests.servers import Generation, generations, program
from tests.web.security.prepared import FILES

DOCS = Path(__file__).parents[3] / "docs"
GOOD = sorted(path.name for path in FILES.glob("*.good.yml"))


def read(path: Path) -> tuple[WebConfig | None, list[Problem]]:
    try:
        config, _, problems = examine_web_config(path)
    except ConfigError as error:
        return None, [*error.problems]
    return config, problems


def good(folder: Path, name: str) -> WebConfig:
    config, problems = read(folder / name)
    assert config is not None
    assert problems == []
    return config


def test_table_and_files_name_the_same() -> None:
    """No file is forgotten: each refused one is in the table, and each line of the table has its file."""
    assert set(expected(FILES)) == {path.name for path in FILES.glob("*.bad.yml")}
    assert len(GOOD) + len(expected(FILES)) == len([*FILES.glob("*.yml")])


@pytest.mark.parametrize("name", sorted(expected(FILES)))
def test_what_is_wrong_is_refused_with_every_problem(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refused file is told with all its problems, each with file, line, path, found and expected."""
    monkeypatch.chdir(folder)
    assert [str(problem) for problem in read(Path(name))[1]] == expected(FILES)[name]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_right_is_accepted(name: str, folder: Path) -> None:
    """Files beside the configuration are found wherever the exporter was started."""
    assert good(folder, name)


#: Keys that exporter-toolkit did not know yet when these were built.
TOO_NEW = {"floor": ("cert:", "key:", "client_ca:", "client_allowed_sans:"), "trixie": ()}


def verdict(name: str, folder: Path, tmp_path: Path, generation: Generation) -> bool:
    """Whether exporter-toolkit takes a file, as part of promtool; none of them has heard of rate_limit."""
    text = re.sub(r"^rate_limit: .*$", "", (folder / name).read_text(), flags=re.MULTILINE)
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "web.yml").write_text(text)
    command = [program("promtool", generation), "check", "web-config", "web.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("generation", generations(), ids=lambda generation: generation.name)
@pytest.mark.parametrize("name", GOOD)
def test_the_toolkit_accepts_the_same(name: str, generation: Generation, folder: Path, tmp_path: Path) -> None:
    """What is right here is right for Prometheus's reader too, unless it has our own key, or one too new for it."""
    text = (folder / name).read_text()
    unknown = (READ_ONLY, *TOO_NEW[generation.name])
    assert verdict(name, folder, tmp_path, generation) == (not any(key in text for key in unknown))


#: What exporter-toolkit takes and we do not, each told in docs/web-config.md.
STRICTER = {
    "both": "which of the two holds would be a guess",
    "cipher-version": "no handshake could succeed",
    "client-any": "ssl cannot",
    "client-ca-empty": "nobody could be verified; later versions refuse it too",
    "curves": "ssl cannot",
    "header-blank": "not what is sent",
    "no-certificate": "it serves plain HTTP then",
    "sans": "nobody is asked for a certificate; later versions refuse it too",
    "version-order": "no handshake could succeed",
}


@pytest.mark.parametrize("name", sorted(name for name in expected(FILES) if not name.startswith("rate")))
def test_the_toolkit_refuses_the_same(name: str, folder: Path, tmp_path: Path) -> None:
    """What is refused here is refused by Prometheus's own reader, but for a list of known differences."""
    stricter = name.removesuffix(".bad.yml") in STRICTER
    assert verdict(name, folder, tmp_path, generations()[-1]) == stricter


def test_the_documented_example_of_the_toolkit(folder: Path) -> None:
    """What exporter-toolkit's page shows first means here what it means there."""
    config = good(folder, "example.good.yml")
    assert config.tls is not None
    assert {name: user.may_change for name, user in config.users.items()} == {"alice": True, "bob": True}
    assert (config.rate, config.headers) == (None, {})


def test_every_key_of_the_toolkit(folder: Path) -> None:
    """Each key arrives where it works."""
    config = good(folder, "every-key.good.yml")
    assert config.tls is not None
    context = config.tls.context
    assert (context.verify_mode, context.minimum_version) == (ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2)
    older = [cipher["name"] for cipher in context.get_ciphers() if not cipher["name"].startswith("TLS_")]
    assert older == ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]
    assert config.tls.allowed_sans == {"noc@bank.example", "prometheus.bank.example"}
    assert config.rate == Rate(0.1, 50)
    assert len(config.headers) == 5
    assert config.users["alice"].cost == 4


def test_nothing_means_nothing(folder: Path) -> None:
    """An empty file, and empty sections, leave all open and plain."""
    assert good(folder, "empty.good.yml") == good(folder, "sections.good.yml") == WebConfig()


def test_roles(folder: Path) -> None:
    """Those in the second list may only read; the log is told how many there are of either, and no name."""
    config = good(folder, "roles.good.yml")
    assert {name: user.may_change for name, user in config.users.items()} == {"alice": True, "carol": False}
    assert "alice" not in str(config)


def test_check(folder: Path) -> None:
    """`check` reads it as well: its problems come with all others, and one alone makes the status 1."""
    out = io.StringIO()
    assert check(None, out, folder / "example.good.yml") == 0
    assert out.getvalue().startswith("OK: ")
    for name in ("users.bad.yml", "not-yaml.bad.yml"):
        out = io.StringIO()
        assert check(None, out, folder / name) == 1
        lines = out.getvalue().replace(f"{folder}{os.sep}", "").splitlines()
        assert lines[:-1] == expected(FILES)[name]
        assert lines[-1].startswith("FAILED: ")


def documented() -> Iterator[str]:
    text = (DOCS / "web-config.md").read_text().partition("\n## ")[0]
    return iter(re.findall(r"^\| `([\w.*\[\]-]+)` \|", text, re.MULTILINE))


def test_every_key_is_documented() -> None:
    """docs/web-config.md has each key that the code reads, and promises no other."""
    assert sorted(documented()) == sorted({key.removesuffix("[]") for key in keys(WEB)})


def test_every_difference_is_documented() -> None:
    """Each way in which we are stricter than exporter-toolkit has its row in docs/web-config.md."""
    section = (DOCS / "web-config.md").read_text().partition("\n## Differences")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| (?!---|What)", section, re.MULTILINE)) >= len(STRICTER)
