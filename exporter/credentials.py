"""Secrets: a type that shows nothing, and reading them from files, the environment and encrypted text.

Whatever is wrong with one, the message of the SecretError says where it should have come from and never what it is.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, SupportsIndex

from exporter.errors import SecretError

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

#: A community or password is a line; a file that holds more is another file.
MAX_BYTES = 1024
_BOM = b"\xef\xbb\xbf"
_BREAKS = b"\r\n\0"


class Secret:
    """Bytes that only `reveal()` gives away: no log, page, message or traceback gets them by accident.

    Secrets of equal bytes are equal, whichever way they came; comparing takes as long wherever they differ.
    """

    __slots__ = ("__value",)

    def __init__(self, value: bytes) -> None:
        self.__value = value

    def reveal(self) -> bytes:
        """The bytes themselves: not to be kept, formatted or passed on further than to where they are used."""
        return self.__value

    def __repr__(self) -> str:
        return "<secret>"

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __eq__(self, other: object) -> bool:
        return hmac.compare_digest(self.__value, other.__value) if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.__value))

    def __reduce_ex__(self, _: SupportsIndex) -> NoReturn:
        # Pickles end in files and pipes: who sends a secret to another process says so, by reveal().
        raise TypeError("a secret is neither pickled nor copied")


def secret(value: bytes) -> Secret:
    """`value` as a Secret, if it is one line of at most MAX_BYTES that is not empty; raises SecretError."""
    if not value:
        raise SecretError("is empty")
    if len(value) > MAX_BYTES:
        raise SecretError(f"has more than {MAX_BYTES} bytes")
    if any(sign in value for sign in _BREAKS):
        raise SecretError("holds more than one line, or a NUL")
    return Secret(value)


def secret_line(data: bytes) -> Secret:
    """The secret in a text of one line, as an editor or `echo` leaves it; raises SecretError."""
    line = data.removeprefix(_BOM).removesuffix(b"\n").removesuffix(b"\r")
    return secret(line)


def read_file(path: Path) -> Secret:
    """The secret that a regular file holds; raises SecretError."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise SecretError("is a directory, device or pipe; expected a regular file")
        with path.open("rb") as file:
            # The mark of UTF-8 and a line end come on top, and one byte more says that it is too long.
            data = file.read(MAX_BYTES + 6)
    except OSError as error:
        raise SecretError(f"cannot be read: {error.strerror}") from error
    return secret_line(data)


def open_to_all(paths: Iterable[Path]) -> list[str]:
    """A sentence for each of these files that every user of the machine may read.

    No more than that: container engines mount secrets so, where nobody else is.
    """
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode & stat.S_IROTH:
                found.append(f"{path} holds a secret, and everybody on this machine may read it (mode {mode:04o})")
    return found


def read_environment(name: str) -> Secret:
    """The secret in an environment variable; raises SecretError."""
    value = os.environb.get(name.encode())
    if value is None:
        raise SecretError("names a variable that is not set in the environment")
    return secret(value)


class Cipher:
    """Encrypts secrets under one key, so that they can stand in ward.yml, and decrypts them."""

    def __init__(self, key: Secret) -> None:
        """Raises SecretError if it is none that `new_key` could have made."""
        self._fernet = _fernet(key)

    def encrypt(self, plain: Secret) -> str:
        """The text that stands in ward.yml."""
        return self._fernet.encrypt(plain.reveal()).decode("ascii")

    def decrypt(self, text: str) -> Secret:
        """What `encrypt` made the text of; raises SecretError."""
        from cryptography.fernet import InvalidToken  # noqa: PLC0415 - as in _fernet

        try:
            value = self._fernet.decrypt(text.encode())
        except InvalidToken:
            # Not chained: nobody shall have to check what the inner error shows.
            raise SecretError("cannot be decrypted: it is damaged, or was made with another key") from None
        return secret(value)


def new_key() -> Secret:
    """A key for a Cipher, of the system's random numbers."""
    from cryptography.fernet import Fernet  # noqa: PLC0415 - as in _fernet

    return Secret(Fernet.generate_key())


def _fernet(key: Secret) -> Fernet:
    from cryptography.fernet import Fernet  # noqa: PLC0415 - it costs 10 MB, and most secrets are in files

    try:
        return Fernet(key.reveal())
    except ValueError:
        raise SecretError("is no key; expected one that `ward-exporter encrypt --key.generate` has made") from None
