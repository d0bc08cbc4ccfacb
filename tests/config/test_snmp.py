"""`snmp` of ward.yml: its clocks, its auths, and where their secrets come from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from exporter.config import load_settings
from exporter.config_auths import CommunityAuth, UserAuth
from exporter.config_snmp import Interfaces, SnmpSettings
from exporter.credentials import Secret
from exporter.errors import ConfigError
from tests.config.test_settings import expected

HERE = Path(__file__).parent
#: In every secret of the fixtures beside this file, right or wrong.
MARK = "S3cret"


def test_every_key_reaches_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each key arrives in the settings, and each secret from its source, without line end and byte order mark."""
    monkeypatch.setenv("WARD_TEST_SECRET", "S3cret-of-the-environment")
    settings = load_settings(HERE / "snmp.good.yml")
    encrypted = Secret(b"S3cret-encrypted")
    auths = {
        "written": CommunityAuth(Secret(b"S3cret-written")),
        "filed": CommunityAuth(Secret(b"S3cret-of-a-file")),
        "edited": CommunityAuth(Secret(b"S3cret-of-an-editor")),
        "environment": CommunityAuth(Secret(b"S3cret-of-the-environment")),
        "encrypted": CommunityAuth(encrypted),
        "nobody": UserAuth("ward", "noAuthNoPriv"),
        "signed": UserAuth("ward", "authNoPriv", "SHA", Secret(b"S3cret-of-a-file"), context_name="vlan-7"),
        "sealed": UserAuth("ward", "authPriv", "SHA256", Secret(b"S3cret-written"), "AES", encrypted),
    }
    assert settings.snmp == SnmpSettings(
        interval=120.0,
        slow_interval=7200.0,
        timeout=1.5,
        retries=0,
        max_repetitions=10,
        workers=4,
        auths=auths,
        modules=(HERE / "snmp.yml", Path("/etc/ward/own.yml")),
        interfaces=Interfaces(
            ("up", "testing"), ("ethernetCsmacd",), (re.compile("^Gi"), re.compile("^Te")), (re.compile("uplink"),)
        ),
        auth_names=frozenset(auths),
        secret_files=tuple(HERE / "secrets" / name for name in ("key", "branch", "edited")),
    )
    (switches,) = settings.classes
    assert switches.snmp == {"auth": "signed", "port": 1161, "modules": ("if_mib", "ucd")}


def test_the_slow_interval_grows_with_the_interval_unless_it_is_set(tmp_path: Path) -> None:
    """A long interval alone is no error: names are then asked for as often as counters."""
    (tmp_path / "ward.yml").write_text("snmp: {interval: 2h}")
    assert load_settings(tmp_path / "ward.yml").snmp.slow_interval == 7200.0


def test_the_key_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a key in a file decrypts, the same key in a variable decrypts too."""
    text = (HERE / "other-key.bad.yml").read_text()
    (tmp_path / "ward.yml").write_text(text.replace("key_file: secrets/other-key", "key_env: WARD_TEST_KEY"))
    monkeypatch.setenv("WARD_TEST_KEY", (HERE / "secrets" / "key").read_text().strip())
    assert load_settings(tmp_path / "ward.yml").snmp.auths == {
        "branch": CommunityAuth(Secret(b"S3cret-that-was-encrypted"))
    }


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "WARD_TEST_SECRET is empty"),
        ("a\nb", "WARD_TEST_SECRET holds more than one line, or a NUL"),
        ("x" * 1025, "WARD_TEST_SECRET has more than 1024 bytes"),
    ],
)
def test_variables_that_hold_no_secret(
    value: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable that is set to nothing, to several lines or to a whole file is named with the reason."""
    (tmp_path / "ward.yml").write_text("snmp: {auths: {a: {version: 2, community_env: WARD_TEST_SECRET}}}")
    monkeypatch.setenv("WARD_TEST_SECRET", value)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "ward.yml")
    assert [problem.message for problem in caught.value.problems] == [reason]


def test_a_secret_is_read_again_at_each_load(tmp_path: Path) -> None:
    """A password that is changed in its file is another at the next reload."""
    (tmp_path / "ward.yml").write_text("snmp: {auths: {a: {version: 2, community_file: branch}}}")
    found = []
    for text in ("one", "two"):
        (tmp_path / "branch").write_text(text)
        auth = load_settings(tmp_path / "ward.yml").snmp.auths["a"]
        assert isinstance(auth, CommunityAuth)
        found.append(auth.community.reveal())
    assert found == [b"one", b"two"]


WITH_SECRETS = [name for name in sorted(expected(HERE)) if MARK.encode() in (HERE / name).read_bytes()]


@pytest.mark.parametrize("name", WITH_SECRETS)
def test_no_message_repeats_a_secret(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong around a secret, and wherever a slip has put it, no message shows a part of it."""
    monkeypatch.chdir(HERE)
    with pytest.raises(ConfigError) as caught:
        load_settings(Path(name))
    assert MARK[1:] not in str(caught.value)


@pytest.mark.parametrize(
    "snmp",
    [
        {"auths": {"a": {"version": 2, "community": {"S3cret": "S3cret"}}}},
        {"auths": {"a": {"version": 2, "community": True, "S3cret": 1}}},
        {"auths": {"a": {"version": 2, "community": 7777777, "community_file": ["S3cret"]}}},
        {"auths": {"a": "S3cret"}},
        {"auths": {"version": 2, "community": "S3cret"}},
        {"auths": {"a": {"version": 2, "community": "S3cret" * 1000}}},
        {"auths": {"a": {"version": 2, "community": "S3cret\ud800"}}},
        {"auths": {"a": {"version": 2, "community_encrypted": "S3cret" * 1000}}, "key_file": "nowhere"},
        {"auths": {"a": {"version": 2, "community_env": "S3cret=x"}}},
        {"auths": "S3cret"},
    ],
)
def test_no_message_repeats_a_secret_of_json(snmp: object, tmp_path: Path) -> None:
    """The same of values of any type, in the wrong place, and of those that no text file can hold."""
    (tmp_path / "ward.json").write_text(json.dumps({"snmp": snmp}))
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path / "ward.json")
    assert MARK[1:] not in str(caught.value)
    assert "7777777" not in str(caught.value)
