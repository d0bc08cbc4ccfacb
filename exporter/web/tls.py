"""`tls_server_config` of the web configuration, in the words of exporter-toolkit, which are Go's -> an SSLContext.

What Python's ssl cannot do is refused with the reason, never left out in silence.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import ssl
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from exporter import values
from exporter.credentials import Secret
from exporter.document import Way
from exporter.errors import SecretError
from exporter.fields import ABSENT, Check, ListOf, Reader, Table, WrongError, listed

_MAX_BYTES = 2**20

#: Go's names of the suites that it calls secure, in OpenSSL's words.
_CIPHERS = {
    f"TLS_ECDHE_{signature}_WITH_{go}": f"ECDHE-{signature}-{openssl}"
    for signature in ("ECDSA", "RSA")
    for go, openssl in (
        ("AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
        ("AES_128_CBC_SHA", "AES128-SHA"),
        ("AES_256_CBC_SHA", "AES256-SHA"),
    )
}
#: TLS 1.3 offers all of them whatever the list says, here as in Go.
_TLS13_CIPHERS = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_CURVES = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}
_VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_AUTHS = {
    "NoClientCert": ssl.CERT_NONE,
    # Go asks for a certificate then and looks at none: not to ask lets the same clients in.
    "RequestClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How new connections are encrypted, and whose certificate lets a client in; no names: every verified one."""

    context: ssl.SSLContext
    allowed_sans: frozenset[str]

    def admits(self, certificate: Mapping[str, Any]) -> bool:
        """Whether a client may stay whose certificate, as ssl gives it, has been verified."""
        return not self.allowed_sans or any(name in self.allowed_sans for name in _sans(certificate))


def client_name(certificate: Mapping[str, Any]) -> str:
    """Whom a certificate speaks of: its common name, else its first alternative one; "" for no certificate."""
    common = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return next(iter([*common, *_sans(certificate)]), "")


def _sans(certificate: Mapping[str, Any]) -> list[str]:
    names = certificate.get("subjectAltName", ())
    return [_canonical(name) for kind, name in names if kind in ("DNS", "IP Address", "email", "URI")]


def _canonical(name: str) -> str:
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _one_of(known: Mapping[str, Any], hints: Mapping[str, str] | None = None) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            expected = (hints or {}).get(value) if isinstance(value, str) else None
            raise WrongError(expected or f"one of {listed(known)}")
        return value

    return check


def _pem(value: Any) -> bytes:
    """PEM text that stands in the file itself; it may be a key, so no message repeats it."""
    if not isinstance(value, str):
        raise WrongError("PEM text", instead="something else")
    return value.encode("utf-8", "replace")


_OLD = "TLS12 or TLS13: OpenSSL's default security level offers nothing older"
_ANY = "RequireAndVerifyClientCert: Python's ssl takes no certificate that it has not verified"

TLS = Table(
    {
        "cert": _pem,
        "key": _pem,
        "client_ca": _pem,
        "cert_file": values.name,
        "key_file": values.name,
        "client_ca_file": values.name,
        "client_auth_type": _one_of(_AUTHS, {"RequireAnyClientCert": _ANY, "RequireClientCert": _ANY}),
        "client_allowed_sans": ListOf(values.name),
        "min_version": _one_of(_VERSIONS, {"TLS10": _OLD, "TLS11": _OLD}),
        "max_version": _one_of(_VERSIONS, {"TLS10": _OLD, "TLS11": _OLD}),
        "cipher_suites": ListOf(_one_of({**_CIPHERS, **dict.fromkeys(_TLS13_CIPHERS)})),
        "curve_preferences": ListOf(_one_of(_CURVES)),
        "prefer_server_cipher_suites": values.flag,
    },
    # The key may stand here, and half of a line of it be taken for a key of the mapping.
    private=True,
)


def read_tls(
    reader: Reader, way: Way, folder: Path, keys: Mapping[str, Any], written: Mapping[str, Any]
) -> ServerTls | None:
    """What `keys` (checked) and `written` say; None, with the problems noted, where that is wrong."""
    return _TlsReader(reader, way, folder, keys, written).read()


class _TlsReader:
    def __init__(
        self, reader: Reader, way: Way, folder: Path, keys: Mapping[str, Any], written: Mapping[str, Any]
    ) -> None:
        self._reader = reader
        self._way = way
        self._folder = folder
        self._keys = keys
        self._written = written

    def read(self) -> ServerTls | None:
        before = len(self._reader.problems)
        certificate, key, ca = self._material("cert"), self._material("key"), self._material("client_ca")
        for name, found in (("cert", certificate), ("key", key)):
            if found is None and not self._has(name):
                self._problem((), f"expected {name}_file, or {name}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        # A client could have us compute one key exchange after another.
        context.options |= ssl.OP_NO_RENEGOTIATION
        self._versions(context)
        self._ciphers(context)
        self._curves(context)
        self._clients(context, ca)
        if certificate is not None and key is not None:
            self._chain(context, certificate, Secret(key))
        if len(self._reader.problems) > before:
            return None
        sans = frozenset(_canonical(name) for name in self._list("client_allowed_sans"))
        return ServerTls(context, sans)

    def _problem(self, way: Way, message: str) -> None:
        self._reader.problem((*self._way, *way), message)

    def _has(self, name: str) -> bool:
        return any(self._written.get(key) is not None for key in (name, f"{name}_file"))

    def _place(self, name: str) -> str:
        """The key that gives this material."""
        return name if self._written.get(name) is not None else f"{name}_file"

    def _list(self, key: str) -> list[str]:
        return [item for item in self._keys.get(key, ()) if item is not ABSENT]

    def _material(self, name: str) -> bytes | None:
        """The bytes of `name`, or of the file that `name`_file names."""
        if all(self._written.get(key) is not None for key in (name, f"{name}_file")):
            self._problem((f"{name}_file",), f"stands beside {name!r}; expected one of them")
            return None
        if f"{name}_file" not in self._keys:
            inline: bytes | None = self._keys.get(name)
            return inline
        path = self._folder / self._keys[f"{name}_file"]
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self._problem((f"{name}_file",), f"{path} is a directory, device or pipe; expected a regular file")
                return None
            with path.open("rb") as file:
                data: bytes = file.read(_MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            self._problem((f"{name}_file",), f"{path} cannot be read: {reason}")
            return None
        if len(data) > _MAX_BYTES:
            self._problem((f"{name}_file",), f"{path} is larger than {_MAX_BYTES} bytes")
            return None
        return data

    def _versions(self, context: ssl.SSLContext) -> None:
        low, high = self._keys.get("min_version", "TLS12"), self._keys.get("max_version", "TLS13")
        if _VERSIONS[low] > _VERSIONS[high]:
            self._problem(("max_version",), f"found {high!r}; expected at least min_version, which is {low}")
            return
        context.minimum_version, context.maximum_version = _VERSIONS[low], _VERSIONS[high]

    def _ciphers(self, context: ssl.SSLContext) -> None:
        if self._keys.get("prefer_server_cipher_suites") is False:
            context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
        names = self._list("cipher_suites")
        chosen = [_CIPHERS[name] for name in names if name in _CIPHERS]
        if chosen:
            context.set_ciphers(":".join(chosen))
        elif names and context.maximum_version == ssl.TLSVersion.TLSv1_2:
            self._problem(("cipher_suites",), "has suites of TLS 1.3 alone; max_version leaves TLS 1.2 alone")
        elif names:
            # Suites of TLS 1.3 alone leave nothing to an older client.
            context.minimum_version = ssl.TLSVersion.TLSv1_3

    def _curves(self, context: ssl.SSLContext) -> None:
        curves = self._list("curve_preferences")
        if len(curves) > 1:
            message = f"found {len(curves)} curves; expected one, for Python's ssl takes no more, or none"
            self._problem(("curve_preferences",), f"{message}: OpenSSL then offers X25519, P-256, P-384 and P-521")
        elif curves:
            context.set_ecdh_curve(_CURVES[curves[0]])

    def _clients(self, context: ssl.SSLContext, ca: bytes | None) -> None:
        auth = self._keys.get("client_auth_type", "NoClientCert")
        told = "client_auth_type" in self._keys or self._written.get("client_auth_type") is None
        if self._has("client_ca") and auth == "NoClientCert" and told:
            self._problem((self._place("client_ca"),), "goes with client_auth_type RequireAndVerifyClientCert")
        if self._list("client_allowed_sans") and auth != "RequireAndVerifyClientCert" and told:
            self._problem(("client_allowed_sans",), "goes with client_auth_type RequireAndVerifyClientCert")
        if self._written.get("client_allowed_sans") == []:
            self._problem(("client_allowed_sans",), "is empty; expected the names that may connect, or no such key")
        if ca is not None:
            try:
                context.load_verify_locations(cadata=ca.decode("ascii", "backslashreplace"))
            except (ssl.SSLError, ValueError):
                self._problem((self._place("client_ca"),), "holds no certificate in PEM")
        elif not self._has("client_ca") and _AUTHS[auth] != ssl.CERT_NONE:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        # As in Go, whatever is in the file is trusted, an intermediate authority too.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.verify_mode = _AUTHS[auth]

    def _chain(self, context: ssl.SSLContext, certificate: bytes, key: Secret) -> None:
        place = (self._place("key"),)
        try:
            with _as_file(certificate) as chain, _as_file(key.reveal()) as private:
                context.load_cert_chain(chain, private, _no_passphrase)
        except SecretError as error:
            self._problem(place, str(error))
        except ssl.SSLError as error:
            if b"-----BEGIN CERTIFICATE-----" not in certificate:
                self._problem((self._place("cert"),), "holds no certificate in PEM")
            elif b"PRIVATE KEY-----" not in key.reveal():
                self._problem(place, "holds no private key in PEM")
            elif error.reason == "KEY_VALUES_MISMATCH":
                self._problem(place, "is not the key of the certificate")
            else:
                reason = (error.reason or "it is damaged").replace("_", " ").lower()
                self._problem(place, f"OpenSSL refuses it or the certificate: {reason}")


def _no_passphrase() -> NoReturn:
    # Without this, OpenSSL would ask on the terminal.
    raise SecretError("is encrypted; expected a key without a passphrase")


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """`data` under a name that OpenSSL can open, on no disk where the system allows that."""
    if sys.platform == "linux":
        number = os.memfd_create("tls")
        with os.fdopen(number, "wb") as file:
            file.write(data)
            file.flush()
            yield f"/proc/self/fd/{number}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name
