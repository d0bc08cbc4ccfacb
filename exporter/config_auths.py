"""`snmp.auths` of ward.yml: named credentials, each secret read from where the file says that it is."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exporter import credentials, values
from exporter.credentials import Cipher, Secret
from exporter.document import Way
from exporter.errors import SecretError
from exporter.fields import Check, MapOf, Reader, Table, WrongError, listed

AUTH_PROTOCOLS = ("MD5", "SHA", "SHA224", "SHA256", "SHA384", "SHA512")
#: Those with a C make their keys as Cisco does.
PRIV_PROTOCOLS = ("DES", "AES", "AES192", "AES256", "AES192C", "AES256C")
SECURITY_LEVELS = ("noAuthNoPriv", "authNoPriv", "authPriv")

_VERSIONS: dict[int | str, int] = {2: 2, "2": 2, "2c": 2, 3: 3, "3": 3}
#: RFC 3414: a user name is SnmpAdminString (SIZE(0..32)), and a password has at least 8 octets (11.2).
_LONGEST_USERNAME = 32
_SHORTEST_PASSWORD = 8

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class CommunityAuth:
    """SNMPv2c."""

    community: Secret


@dataclass(frozen=True, slots=True)
class UserAuth:
    """SNMPv3's user-based security; "" and None stand for what the level does not use."""

    username: str
    security_level: str
    auth_protocol: str = ""
    password: Secret | None = None
    priv_protocol: str = ""
    priv_password: Secret | None = None
    context_name: str = ""


Auth = CommunityAuth | UserAuth


def _version(value: Any) -> int:
    found = _VERSIONS.get(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if found is None:
        raise WrongError("2 (which is v2c) or 3")
    return found


def _one_of(*words: str) -> Check:
    known = {word.lower(): word for word in words}

    def check(value: Any) -> str:
        found = known.get(value.lower()) if isinstance(value, str) else None
        if found is None:
            raise WrongError(f"one of {listed(words)}")
        return found

    return check


def _username(value: Any) -> str:
    found = values.name(value)
    if len(found.encode()) > _LONGEST_USERNAME:
        raise WrongError(f"at most {_LONGEST_USERNAME} bytes")
    return found


def _secret_text(value: Any) -> str:
    if not isinstance(value, str):
        what = "a mapping or list" if isinstance(value, dict | list) else "a value that is no text"
        raise WrongError("text, in quotes", instead=what)
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise WrongError("text that is valid as UTF-8", instead="something else")
    return value


def _variable(value: Any) -> str:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        # Who takes `_env` for the place of the secret itself must not read it in the log.
        raise WrongError("the name of an environment variable: letters, digits and _", instead="something else")
    return value


def _sources(key: str) -> dict[str, Check]:
    """The ways to give a secret: written out, in a file, in the environment, encrypted."""
    return {
        key: _secret_text,
        f"{key}_file": values.name,
        f"{key}_env": _variable,
        f"{key}_encrypted": _secret_text,
    }


_COMMUNITY_KEYS = _sources("community")
_AUTH_KEYS = {"auth_protocol": _one_of(*AUTH_PROTOCOLS), **_sources("password")}
_PRIV_KEYS = {"priv_protocol": _one_of(*PRIV_PROTOCOLS), **_sources("priv_password")}
_USER_KEYS = {
    "username": _username,
    "context_name": values.name,
    "security_level": _one_of(*SECURITY_LEVELS),
    **_AUTH_KEYS,
    **_PRIV_KEYS,
}

AUTHS = MapOf(
    values.name,
    Table({"version": _version, **_COMMUNITY_KEYS, **_USER_KEYS}, required=("version",), private=True),
)
KEY_SOURCES = {"key_file": values.name, "key_env": _variable}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One auth of the file: `keys` are those of `written` that are right."""

    way: Way
    written: Mapping[str, Any]
    keys: Mapping[str, Any]

    def given(self, keys: Mapping[str, Any]) -> list[str]:
        """Which of `keys` stand in the file, right or wrong."""
        return [key for key in keys if self.written.get(key) is not None]


class AuthReader:
    """Reads `snmp.auths`; where a secret cannot be had, it notes why and goes on."""

    def __init__(self, reader: Reader, folder: Path, keys: Mapping[str, Any], written: Mapping[str, Any]) -> None:
        """`keys` (checked) and `written` are those of `snmp`; relative file names are in `folder`."""
        self._reader = reader
        self._folder = folder
        #: What secrets were read from.
        self.files: list[Path] = []
        self._has_key = any(written.get(source) is not None for source in KEY_SOURCES)
        self._cipher = self._read_key(keys, written)
        self._entries = {
            name: _Entry(("snmp", "auths", name), written["auths"][name] or {}, auth)
            for name, auth in keys.get("auths", {}).items()
        }

    def read(self) -> dict[str, Auth]:
        """The auths that are right, by name."""
        auths = {name: self._auth(entry) for name, entry in self._entries.items()}
        return {name: auth for name, auth in auths.items() if auth is not None}

    def _read_key(self, keys: Mapping[str, Any], written: Mapping[str, Any]) -> Cipher | None:
        if all(written.get(source) is not None for source in KEY_SOURCES):
            self._reader.problem(("snmp", "key_env"), "stands beside 'key_file'; expected one of them")
            return None
        source = next((source for source in KEY_SOURCES if source in keys), "")
        if not source:
            return None
        try:
            return Cipher(self._fetch(source, keys[source]))
        except SecretError as error:
            self._reader.problem(("snmp", source), self._about(source, keys[source], error))
            return None

    def _auth(self, entry: _Entry) -> Auth | None:
        version = entry.keys.get("version")
        if version is None:
            return None
        before = len(self._reader.problems)
        for key in entry.given(_USER_KEYS if version == 2 else _COMMUNITY_KEYS):
            self._reader.problem((*entry.way, key), f"goes with version {5 - version}; this auth has {version}")
        auth = self._community(entry) if version == 2 else self._user(entry)
        return auth if len(self._reader.problems) == before else None

    def _community(self, entry: _Entry) -> Auth | None:
        community = self._secret(entry, "community")
        return None if community is None else CommunityAuth(community)

    def _user(self, entry: _Entry) -> Auth | None:
        if not entry.given({"username": None}):
            self._reader.problem(entry.way, "the key 'username' is missing")
        level = entry.keys.get("security_level") or _level(entry)
        auth = self._protection(entry, level, "auth_protocol", "password", level != "noAuthNoPriv")
        priv = self._protection(entry, level, "priv_protocol", "priv_password", level == "authPriv")
        return UserAuth(entry.keys.get("username", ""), level, *auth, *priv, entry.keys.get("context_name", ""))

    def _protection(
        self, entry: _Entry, level: str, protocol: str, password: str, needed: bool
    ) -> tuple[str, Secret | None]:
        """A protocol and its password; notes what the level needs and is not there, or the other way round."""
        sources = _sources(password)
        if needed:
            if not entry.given({protocol: None}):
                self._reader.problem(entry.way, f"the key {protocol!r} is missing, which {level} needs")
            return entry.keys.get(protocol, ""), self._secret(entry, password)
        for key in entry.given({protocol: None, **sources}):
            self._reader.problem((*entry.way, key), f"is not used by security_level {level}; expected a higher one")
        return "", None

    def _secret(self, entry: _Entry, key: str) -> Secret | None:
        """The secret `key`, from the one source that the entry gives."""
        sources = _sources(key)
        given = entry.given(sources)
        if not given:
            self._reader.problem(entry.way, f"expected one of {listed(sources)}")
        for other in given[1:]:
            self._reader.problem((*entry.way, other), f"stands beside {given[0]!r}; expected one of them")
        if len(given) != 1 or given[0] not in entry.keys:
            return None
        source, value = given[0], entry.keys[given[0]]
        if source.endswith("_encrypted") and self._cipher is None:
            if not self._has_key:
                self._reader.problem((*entry.way, source), "needs snmp.key_file or snmp.key_env")
            return None
        try:
            found = self._fetch(source, value)
            if key != "community":
                _check_length(found)
        except SecretError as error:
            self._reader.problem((*entry.way, source), self._about(source, value, error))
            return None
        return found

    def _fetch(self, source: str, value: str) -> Secret:
        if source.endswith("_file"):
            self.files.append(self._folder / value)
            return credentials.read_file(self._folder / value)
        if source.endswith("_env"):
            return credentials.read_environment(value)
        if source.endswith("_encrypted") and self._cipher is not None:
            # Folded over lines, as editors do with long text.
            return self._cipher.decrypt("".join(value.split()))
        return credentials.secret(value.encode())

    def _about(self, source: str, value: str, error: SecretError) -> str:
        """The reason, with the name of the file, or of a variable that is there; never with other values."""
        if source.endswith("_file"):
            return f"{self._folder / value} {error}"
        # What is no variable may be the secret itself, in the place of a variable's name.
        return f"{value} {error}" if source.endswith("_env") and value in os.environ else str(error)


def _check_length(password: Secret) -> None:
    if len(password.reveal()) < _SHORTEST_PASSWORD:
        raise SecretError(f"is shorter than {_SHORTEST_PASSWORD} bytes, the least that SNMPv3 takes")


def _level(entry: _Entry) -> str:
    """The level that the keys of an auth amount to."""
    if entry.given(_PRIV_KEYS):
        return "authPriv"
    return "authNoPriv" if entry.given(_AUTH_KEYS) else "noAuthNoPriv"
