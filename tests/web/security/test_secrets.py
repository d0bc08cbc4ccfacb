"""No password, hash or key leaves the process: answers, log, `check`, tracebacks."""

from __future__ import annotations

import base64
import io
import re
import traceback
from pathlib import Path

import pytest

from exporter.tools.check import check
from exporter.web.web_config import WebConfig, examine_web_config
from tests.config.test_leaks import assert_clean
from tests.web.security.exporter import SecuredExporter
from tests.web.security.prepared import FILES
from tests.web.security.site import PASSWORDS, basic

BAD = sorted(path.name for path in FILES.glob("*.bad.yml"))


def assert_kept(text: str, folder: Path) -> None:
    """Neither a password nor a hash or key of the files is in it, in the forms that a message might have."""
    assert_clean(text)
    assert not re.search(r"\$2[aby]\$", text.replace("$2y$10$ and", ""))
    for key in folder.glob("*.key"):
        assert key.read_text().splitlines()[1] not in text
    for name in PASSWORDS:
        assert base64.b64encode(f"{name}:{PASSWORDS[name]}".encode()).decode() not in text


@pytest.mark.parametrize("name", BAD)
def test_no_problem_shows_a_secret(name: str, folder: Path) -> None:
    """Whatever is wrong, and wherever a secret was written by mistake, `check` does not repeat it."""
    out = io.StringIO()
    assert check(None, out, folder / name) == 1
    assert_kept(out.getvalue(), folder)


@pytest.mark.parametrize("name", ["every-key.good.yml", "inline.good.yml", "roles.good.yml"])
def test_no_traceback_shows_a_secret(name: str, folder: Path) -> None:
    """The configuration in an exception's arguments and variables shows none."""
    config, _, _ = examine_web_config(folder / name)

    def fails(config: WebConfig) -> None:
        raise RuntimeError(config, f"{config}", f"{config.users!r}")

    with pytest.raises(RuntimeError) as caught:
        fails(config)
    found = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert_kept("".join(found.format()), folder)


def test_no_answer_and_no_log_shows_a_secret(own: Path) -> None:
    """The exporter with users: right and wrong passwords, reloads that fail, the log of it all at its loudest."""
    (own / "site").mkdir()
    web = own / "web.yml"
    web.write_text((own / "roles.good.yml").read_text())
    with SecuredExporter(own / "site", web) as serving:
        serving.start_listening("--log.level=debug")
        said = ""
        for headers in (basic("alice"), basic("carol"), basic("alice", "S3cret"), basic("S3cret", "x"), {}):
            for path, method in (("/metrics", "GET"), ("/-/reload", "POST"), ("/S3cre", "GET")):
                answer = serving.request(path, method, headers)
                said += f"{answer.status} {answer.headers} {answer.text}"
        for name in ("users.bad.yml", "types.bad.yml", "keys.bad.yml"):
            web.write_text((own / name).read_text())
            answer = serving.request("/-/reload", "POST", basic("alice"))
            assert answer.status == 500
            assert f"{web}:" in answer.text
            said += answer.text
        assert serving.end() == 0
        log = serving.log.read_text()
    assert "alice from 127.0.0.1:" in log
    assert_kept(said + log, own)
