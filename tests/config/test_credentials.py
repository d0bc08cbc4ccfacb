"""Secrets: what shows them, which is `reveal()` alone."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.config import load_settings
from exporter.config_auths import CommunityAuth, UserAuth
from exporter.credentials import Cipher, Secret, new_key, read_file, secret
from exporter.errors import SecretError

HIDDEN = Secret(b"S3cret")
AUTH = UserAuth("ward", "authPriv", "SHA256", HIDDEN, "AES", HIDDEN)


@pytest.mark.parametrize("shown", [HIDDEN, AUTH, {"a": AUTH}, (HIDDEN,)])
def test_no_way_of_writing_shows_it(shown: object) -> None:
    """Neither a secret nor what holds it says it, by whichever way Python has to make text of a value."""
    texts = [repr(shown), str(shown), f"{shown}", f"{shown!r}", f"{HIDDEN:>20}", "%s %r" % (shown, shown)]  # noqa: UP031 - loggers do it this way
    texts += [pprint.pformat(shown), ascii(shown), json.dumps(shown, default=str)]
    texts.append(logging.LogRecord("a", 0, "b", 0, "%s", ([shown],), None).getMessage())
    assert all("<secret>" in text for text in texts)
    assert not any("S3cret" in text for text in texts)


def test_no_traceback_shows_it() -> None:
    """A traceback shows none, not even one that shows the values of all variables."""

    def fails(community: Secret, auth: UserAuth) -> int:
        return len(community) + len(auth)  # type: ignore[arg-type] # it shall fail

    with pytest.raises(TypeError) as caught:
        fails(HIDDEN, AUTH)
    text = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "community = <secret>" in text
    assert "S3cret" not in text


@pytest.mark.parametrize("write", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("protected", [HIDDEN, AUTH])
def test_it_is_neither_pickled_nor_copied(write: object, protected: object) -> None:
    """No file, pipe or snapshot gets a secret by the way: writing out what holds one fails, and shows nothing."""
    if write is copy.copy and protected is AUTH:
        # That shares the secret.
        assert copy.copy(protected) == protected
        return
    assert callable(write)
    with pytest.raises(TypeError, match="neither pickled nor copied") as caught:
        write(protected)
    assert "S3cret" not in str(caught.value)


def test_equal_secrets_are_equal() -> None:
    """A reload tells by comparison whether credentials have changed: only equal bytes are equal."""
    assert Secret(b"S3cret") == HIDDEN
    assert len({Secret(b"S3cret"), HIDDEN, Secret(b"S3cres")}) == 2
    assert Secret(b"S3cre") != HIDDEN
    assert HIDDEN != b"S3cret"
    assert HIDDEN != "<secret>"


@given(st.binary(min_size=1, max_size=100).filter(lambda value: not set(value) & set(b"\r\n\0")))
def test_what_is_encrypted_is_decrypted(value: bytes) -> None:
    """Any secret comes back under its key, under no other, and does not stand in the text."""
    key, other = new_key(), new_key()
    text = Cipher(key).encrypt(secret(value))
    assert Cipher(key).decrypt(text) == Secret(value)
    assert len(value) < 4 or value not in text.encode()
    with pytest.raises(SecretError, match="another key"):
        Cipher(other).decrypt(text)


@given(st.text(max_size=200))
def test_any_text_is_decrypted_or_refused(text: str) -> None:
    """What is no encrypted text is said to be none, whatever it is, and not repeated."""
    with pytest.raises(SecretError) as caught:
        Cipher(new_key()).decrypt(text)
    assert str(caught.value) == "cannot be decrypted: it is damaged, or was made with another key"
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_key_or_refused(value: bytes) -> None:
    """A key of the wrong length or alphabet is said to be none; no error of a library comes through."""
    with pytest.raises(SecretError) as caught:
        Cipher(Secret(value))
    assert str(caught.value).startswith("is no key")
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


def test_a_file_of_the_longest_secret(tmp_path: Path) -> None:
    """1,024 bytes between a byte order mark and a line end are a secret; 1,025 are too many."""
    for length, end in ((1024, b"\r\n"), (1024, b"")):
        (tmp_path / "a").write_bytes(b"\xef\xbb\xbf" + b"x" * length + end)
        assert read_file(tmp_path / "a").reveal() == b"x" * 1024
    (tmp_path / "a").write_bytes(b"x" * 1025)
    with pytest.raises(SecretError, match="has more than 1024 bytes"):
        read_file(tmp_path / "a")


def test_the_longest_secret_in_ward_yml(tmp_path: Path) -> None:
    """A secret of 1,024 bytes can stand in ward.yml, as it is and encrypted."""
    key = new_key()
    (tmp_path / "key").write_bytes(key.reveal())
    longest = Secret(b"x" * 1024)
    (tmp_path / "ward.yml").write_text(
        "snmp:\n  key_file: key\n  auths:\n"
        f"    a: {{version: 2, community: {longest.reveal().decode()}}}\n"
        f"    b: {{version: 2, community_encrypted: {Cipher(key).encrypt(longest)}}}\n"
    )
    auths = load_settings(tmp_path / "ward.yml").snmp.auths
    assert auths == {"a": CommunityAuth(longest), "b": CommunityAuth(longest)}
