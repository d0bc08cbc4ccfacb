"""ward.yml: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exporter.config import (
    DEFAULT_FILE,
    DeviceClass,
    FileSource,
    FlappingSettings,
    Match,
    ProbeSettings,
    UrlSource,
    load_settings,
)
from exporter.config_snmp import SnmpSettings
from exporter.document import MAX_BYTES
from exporter.errors import ConfigError

HERE = Path(__file__).parent


def expected(folder: Path) -> dict[str, list[str]]:
    """The lines of expected.txt by the file that they speak of."""
    lines: dict[str, list[str]] = {}
    for line in (folder / "expected.txt").read_text().splitlines():
        if not line.startswith("#"):
            lines.setdefault(line.partition(":")[0], []).append(line)
    return lines


def test_table_and_fixtures_name_the_same_files() -> None:
    """No fixture is forgotten: each refused file is in the table, and each line of the table has its file."""
    assert set(expected(HERE)) == {path.name for path in HERE.glob("*.bad.yml")}


@pytest.mark.parametrize("name", sorted(expected(HERE)))
def test_bad_settings_are_refused_with_every_problem(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused configuration names all its problems, each with file, line, path, found and expected."""
    monkeypatch.chdir(HERE)
    with pytest.raises(ConfigError) as caught:
        load_settings(Path(name))
    assert str(caught.value).splitlines() == expected(HERE)[name]


def test_a_secret_in_a_url_is_not_repeated() -> None:
    """The message about a password in a URL does not hold the password."""
    with pytest.raises(ConfigError) as caught:
        load_settings(HERE / "sources.bad.yml")
    assert "secret@" not in str(caught.value)


def test_embedded_default_has_the_documented_values() -> None:
    """Without a file the shipped settings hold: two classes, one demonstration inventory."""
    settings = load_settings(None)
    assert settings.path == DEFAULT_FILE
    assert settings.probe == ProbeSettings()
    assert settings.flapping == FlappingSettings()
    assert settings.classes == (
        DeviceClass(
            "isp",
            Match(address="*.*.*.5"),
            role="isp",
            priority=0,
            limits={"rtt": 0.1, "loss": 0.05, "flap_changes": 2},
        ),
        DeviceClass("default", priority=3, limits={"rtt": 0.2, "loss": 0.1, "flap_changes": 3}),
    )
    assert [source.pattern for source in settings.inventory if isinstance(source, FileSource)] == ["demo.yml"]


@pytest.mark.parametrize("name", ["empty.good.yml", "shipped.good.yml"])
def test_what_a_file_leaves_out_is_as_shipped(name: str) -> None:
    """An empty file and one that spells the defaults out mean the same."""
    settings, shipped = load_settings(HERE / name), load_settings(None)
    assert (settings.probe, settings.flapping, settings.classes, settings.snmp) == (
        shipped.probe,
        shipped.flapping,
        shipped.classes,
        SnmpSettings(),
    )
    assert settings.inventory[0] == FileSource("devices/*.yml", 14 if name == "shipped.good.yml" else None)


def test_every_key_reaches_its_field() -> None:
    """Each key of a full configuration arrives in the settings, in seconds and canonical addresses."""
    settings = load_settings(HERE / "full.good.yml")
    assert settings.probe == ProbeSettings(
        interval=0.5,
        timeout=90.0,
        window=300.0,
        down_after=5,
        up_after=1,
        resolve_every=3600.0,
        payload_bytes=1400,
        dscp=46,
        dont_fragment=True,
        source="10.0.0.1",
    )
    assert settings.flapping == FlappingSettings(600.0)
    assert settings.classes == (
        DeviceClass(
            "vsat",
            Match("10.9.*", "*-vsat", "batumi-*", "router", (("carrier", "ჯეოსელი"),)),
            role="vsat",
            priority=2,
            limits={"rtt": 1.2, "loss": 0.2, "flap_changes": 6},
            probe={"payload_bytes": 8, "dscp": 46, "dont_fragment": False, "source": "2001:db8::1"},
            histogram=True,
        ),
    )
    assert settings.inventory == (
        UrlSource("http://127.0.0.1:8080/sd", 30.0, "ward", password_file=HERE / "secrets/cmdb", line=23),
        UrlSource("https://cmdb.example/sd?site=1", bearer_token_file=Path("/run/secrets/token"), line=24),
    )


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    """A file saved with a UTF-8 byte order mark reads as one without."""
    assert load_settings(HERE / "bom.good.yml").probe.interval == 2.0


def test_the_window_grows_with_the_interval_unless_it_is_set() -> None:
    """A long interval alone is no error: the window then holds ten probes."""
    assert load_settings(HERE / "long-interval.good.yml").probe.window == 300.0


def test_no_classes_is_a_choice(tmp_path: Path) -> None:
    """An empty list of classes means none, not the shipped ones."""
    (tmp_path / "ward.yml").write_text("classes: []")
    assert load_settings(tmp_path / "ward.yml").classes == ()


def test_json_settings_read_as_yaml_ones_do(tmp_path: Path) -> None:
    """ward.json is as good as ward.yml, and its problems have lines too."""
    file = tmp_path / "ward.json"
    file.write_text('{"probe": {"interval": "2s"}}')
    assert load_settings(file).probe.interval == 2.0
    file.write_text('{"probe": {\n "timeout": 1,\n "interval": 2}}')
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert [(one.line, one.path) for one in caught.value.problems] == [
        (2, "probe.timeout"),
        (3, "probe.interval"),
    ]


class TestUnreadable:
    """Files that are no text of settings."""

    def refusal(self, path: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            load_settings(path)
        [problem] = caught.value.problems
        assert problem.file == str(path)
        return problem.message

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named, with the system's reason."""
        assert self.refusal(tmp_path / "ward.yml") == "cannot be read: No such file or directory"

    def test_a_directory(self, tmp_path: Path) -> None:
        """A directory in place of a file is said to be one."""
        (tmp_path / "ward.yml").mkdir()
        assert self.refusal(tmp_path / "ward.yml") == "is a directory; expected a file"

    def test_a_pipe_does_not_block(self, tmp_path: Path) -> None:
        """A pipe that nobody writes to is refused at once, not waited for."""
        os.mkfifo(tmp_path / "ward.yml")
        assert "pipe" in self.refusal(tmp_path / "ward.yml")

    def test_a_huge_file_is_not_read(self, tmp_path: Path) -> None:
        """A 50 MB file is refused by its size."""
        with (tmp_path / "ward.yml").open("wb") as file:
            file.truncate(50_000_000)
        message = self.refusal(tmp_path / "ward.yml")
        assert message == f"has 50000000 bytes; the limit is {MAX_BYTES}"

    def test_an_unknown_kind_of_file(self, tmp_path: Path) -> None:
        """The kinds that there are, where the suffix is none of them."""
        (tmp_path / "ward.toml").write_text("")
        assert "expected .yml, .json or .csv" in self.refusal(tmp_path / "ward.toml")

    def test_a_table(self, tmp_path: Path) -> None:
        """Settings as CSV are refused in plain words."""
        (tmp_path / "ward.csv").write_text("probe\n1s\n")
        assert "expected the settings as YAML or JSON" in self.refusal(tmp_path / "ward.csv")
