"""`ward-exporter encrypt`: what it takes, what it prints, and which keys it refuses."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from exporter.credentials import MAX_BYTES, Cipher, read_file
from tests.serving import PROGRAM


def encrypt(folder: Path, *flags: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [PROGRAM, "encrypt", *flags]
    return subprocess.run(command, cwd=folder, input=given, capture_output=True, check=False, timeout=60)


def refusal(folder: Path, *flags: str, given: bytes = b"") -> str:
    """What it says on standard error, where nothing is encrypted."""
    done = encrypt(folder, *flags, given=given)
    assert (done.returncode, done.stdout) == (1, b"")
    return done.stderr.decode().removesuffix("\n")


def typed(folder: Path, *lines: bytes) -> tuple[int, bytes]:
    """The status of an encryption at a terminal on which `lines` are typed, and all that the terminal shows."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execv(PROGRAM, [str(PROGRAM), "encrypt"])
    shown = b""
    for prompt, line in zip((b"Secret: ", b"Again: "), lines, strict=False):
        while prompt not in shown:
            shown += os.read(terminal, 4096)
        os.write(terminal, line)
    try:
        while part := os.read(terminal, 4096):
            shown += part
    except OSError:
        pass  # how Linux says that the other end is closed
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), shown


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a key."""
    assert encrypt(tmp_path, "--key.generate", given=b"any").returncode == 0
    return tmp_path


def decrypted(folder: Path, text: bytes) -> bytes:
    return Cipher(read_file(folder / "ward.key")).decrypt(text.decode()).reveal()


@pytest.mark.parametrize("given", [b"S3cret", b"S3cret\n", b"S3cret\r\n", "პაროლი".encode(), b"\xff", b" x "])
def test_what_is_piped_is_encrypted(folder: Path, given: bytes) -> None:
    """A line of standard input becomes text that the key decrypts, whatever its bytes; without its line end."""
    done = encrypt(folder, given=given)
    assert (done.returncode, done.stderr) == (0, b"")
    assert decrypted(folder, done.stdout) == given.rstrip(b"\r\n")


def test_a_terminal_is_asked_twice_and_shows_nothing(folder: Path) -> None:
    """What is typed is not echoed, and must be the same both times; only the encrypted text is printed."""
    status, shown = typed(folder, b"S3cret\n", b"S3cret\n")
    assert status == 0
    assert b"S3cret" not in shown
    assert decrypted(folder, shown.split()[-1]) == b"S3cret"


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ((b"S3cret\n", b"S3cert\n"), b"the secret is not the same both times"),
        ((b"\n", b"\n"), b"the secret is empty"),
        ((b"\x04",), b"the secret is not given"),
    ],
)
def test_what_is_typed_wrong(folder: Path, lines: tuple[bytes, ...], reason: bytes) -> None:
    """A slip, an empty line and an end of input are each said so, with status 1 and without what was typed."""
    status, shown = typed(folder, *lines)
    assert status == 1
    assert reason in shown
    assert b"S3c" not in shown


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"", "the secret is empty"),
        (b"\n", "the secret is empty"),
        (b"S3cret\nS3cret\n", "the secret holds more than one line, or a NUL"),
        (b"S3cret\0", "the secret holds more than one line, or a NUL"),
        (b"S" * (MAX_BYTES + 1), f"the secret has more than {MAX_BYTES} bytes"),
        (b"S" * 1_000_000, f"the secret has more than {MAX_BYTES} bytes"),
    ],
)
def test_what_is_piped_wrong(folder: Path, given: bytes, reason: str) -> None:
    """What no device takes for a secret is refused, and not repeated."""
    assert refusal(folder, given=given) == reason


def test_the_longest_secret(folder: Path) -> None:
    """A secret of as many bytes as are allowed is encrypted, its line end not counted."""
    done = encrypt(folder, given=b"S" * MAX_BYTES + b"\r\n")
    assert decrypted(folder, done.stdout) == b"S" * MAX_BYTES


def test_a_new_key_is_its_owners_alone(tmp_path: Path) -> None:
    """A generated key file is readable by its owner only, whatever the umask; no two keys are the same."""
    former = os.umask(0)
    try:
        for name in ("a.key", "b.key"):
            assert encrypt(tmp_path, "--key.generate", f"--key.file={name}", given=b"x").returncode == 0
            assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(former)
    assert read_file(tmp_path / "a.key") != read_file(tmp_path / "b.key")


def test_a_key_is_never_overwritten(folder: Path) -> None:
    """Generating a key where a file is fails, and leaves that as it was: what it has encrypted stays readable."""
    before = (folder / "ward.key").read_bytes()
    reason = refusal(folder, "--key.generate", given=b"S3cret")
    assert reason == "ward.key exists; expected no file where a key is generated"
    assert (folder / "ward.key").read_bytes() == before


def test_keys_that_are_not_used(folder: Path) -> None:
    """A key file that is missing, that cannot be written, or that holds no key is named with the reason."""
    missing = "missing.key cannot be read: No such file or directory; --key.generate makes it"
    assert refusal(folder, "--key.file=missing.key", given=b"x") == missing
    nowhere = "no/such.key cannot be written: No such file or directory"
    assert refusal(folder, "--key.generate", "--key.file=no/such.key", given=b"x") == nowhere
    (folder / "bad.key").write_text("S3cret")
    (folder / "bad.key").chmod(0o600)
    no_key = "bad.key is no key; expected one that `ward-exporter encrypt --key.generate` has made"
    assert refusal(folder, "--key.file=bad.key", given=b"x") == no_key


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_read_is_refused(folder: Path, mode: int) -> None:
    """Encrypting under a key that is no secret would promise too much: the file's mode is told, and the remedy."""
    (folder / "ward.key").chmod(mode)
    reason = refusal(folder, given=b"S3cret")
    assert reason.startswith(f"ward.key has mode {mode:04o}: others may have read the key")
    assert "chmod 600" in reason
