"""`ward-exporter encrypt`: a secret from the terminal or a pipe, as the text that may stand in ward.yml."""

from __future__ import annotations

import getpass
import os
import stat
from pathlib import Path
from typing import TextIO

from exporter import credentials
from exporter.credentials import Cipher, Secret
from exporter.errors import SecretError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def encrypt(key_file: Path, generate: bool, source: TextIO, out: TextIO) -> int:
    """Write the secret that `source` gives to `out`, encrypted under the key in the file; raises SecretError."""
    if generate:
        _generate(key_file)
    try:
        cipher = Cipher(_read_key(key_file))
    except SecretError as error:
        hint = "" if key_file.exists() else "; --key.generate makes it"
        raise SecretError(f"{key_file} {error}{hint}") from error
    try:
        plain = _ask() if source.isatty() else _read(source)
    except SecretError as error:
        raise SecretError(f"the secret {error}") from error
    print(cipher.encrypt(plain), file=out)
    return 0


def _generate(key_file: Path) -> None:
    """Write a new key into a file that only its owner reads."""
    try:
        # Never over another key: what that has encrypted would be lost.
        descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(credentials.new_key().reveal() + b"\n")
    except FileExistsError as error:
        raise SecretError(f"{key_file} exists; expected no file where a key is generated") from error
    except OSError as error:
        raise SecretError(f"{key_file} cannot be written: {error.strerror}") from error


def _read_key(key_file: Path) -> Secret:
    key = credentials.read_file(key_file)
    mode = stat.S_IMODE(key_file.stat().st_mode)
    if mode & _OTHERS:
        raise SecretError(
            f"has mode {mode:04o}: others may have read the key; take their rights away by chmod 600, "
            "or generate another key"
        )
    return key


def _ask() -> Secret:
    """The secret as it is typed twice, unseen: a slip would be found at the first poll."""
    try:
        first, again = getpass.getpass("Secret: "), getpass.getpass("Again: ")
    except EOFError as error:
        raise SecretError("is not given") from error
    if first != again:
        raise SecretError("is not the same both times")
    return credentials.secret(first.encode("utf-8", "surrogateescape"))


def _read(source: TextIO) -> Secret:
    return credentials.secret_line(source.buffer.read(credentials.MAX_BYTES + 6))
