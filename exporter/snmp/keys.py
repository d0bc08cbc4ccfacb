"""Users of SNMPv3, and the keys that they have at a device: what signs and encrypts messages.

How a password becomes a device's key is pysnmp's, above all where AES wants more bytes than a digest has: two
drafts make them in two ways, and devices follow either. Nothing here shows a password or key.
"""

from __future__ import annotations

import hmac
import secrets
from typing import NamedTuple

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from pysnmp.proto.secmod.rfc3414.service import SnmpUSMSecurityModel

from exporter.errors import BerError

#: The bits of a message's flags.
AUTH, PRIV = 1, 2
LEVELS = {"noAuthNoPriv": 0, "authNoPriv": AUTH, "authPriv": AUTH | PRIV}


class _Digest(NamedTuple):
    """A protocol of authentication: pysnmp's number for it, the hash's name in hashlib, the bytes of a digest."""

    number: tuple[int, ...]
    hash: str
    size: int


_PROTOCOLS = (1, 3, 6, 1, 6, 3, 10, 1)
_CISCO = (1, 3, 6, 1, 4, 1, 9, 12, 6, 1)
_DIGESTS = {
    "MD5": _Digest((*_PROTOCOLS, 1, 2), "md5", 12),
    "SHA": _Digest((*_PROTOCOLS, 1, 3), "sha1", 12),
    "SHA224": _Digest((*_PROTOCOLS, 1, 4), "sha224", 16),
    "SHA256": _Digest((*_PROTOCOLS, 1, 5), "sha256", 24),
    "SHA384": _Digest((*_PROTOCOLS, 1, 6), "sha384", 32),
    "SHA512": _Digest((*_PROTOCOLS, 1, 7), "sha512", 48),
}
#: AES192 and AES256 make their keys as the draft of Blumenthal says; those of Cisco, with a C, as that of Reeder.
_CIPHERS = {
    "DES": (*_PROTOCOLS, 2, 2),
    "AES": (*_PROTOCOLS, 2, 4),
    "AES192": (*_CISCO, 1),
    "AES256": (*_CISCO, 2),
    "AES192C": (*_CISCO, 101),
    "AES256C": (*_CISCO, 102),
}


class User:
    """A user of SNMPv3. It takes some 10 ms to make one, so all devices that know it share it."""

    def __init__(
        self,
        username: str,
        security_level: str,
        auth_protocol: str = "",
        password: bytes = b"",
        priv_protocol: str = "",
        priv_password: bytes = b"",
    ) -> None:
        """Raises ValueError for a level or protocol that there is not; what a level does not need is ignored."""
        if security_level not in LEVELS:
            raise ValueError(f"there is no security level {security_level!r}")
        self.name = username.encode()
        self.level = security_level
        self.flags = LEVELS[security_level]
        if self.flags & AUTH:
            if auth_protocol not in _DIGESTS:
                raise ValueError(f"there is no authentication protocol {auth_protocol!r}")
            self._digest = _DIGESTS[auth_protocol]
            self._auth = SnmpUSMSecurityModel.AUTH_SERVICES[self._digest.number]
            self._password = self._auth.hash_passphrase(password)
        if self.flags & PRIV:
            if priv_protocol not in _CIPHERS:
                raise ValueError(f"there is no privacy protocol {priv_protocol!r}")
            self._is_des = priv_protocol == "DES"
            self._priv = SnmpUSMSecurityModel.PRIV_SERVICES[_CIPHERS[priv_protocol]]
            self._priv_password = self._priv.hash_passphrase(self._digest.number, priv_password)

    def __repr__(self) -> str:
        return f"<user {self.name!r}, {self.level}>"

    def keys(self, engine: bytes) -> Keys:
        """The user's keys at the device of this engine identifier."""
        if not self.flags & AUTH:
            return Keys("", 0, b"", b"", False)
        name = self._password.clone(engine)  # pyasn1's type of bytes, which pysnmp takes
        auth = self._auth.localize_key(self._password, name).asOctets()
        if not self.flags & PRIV:
            return Keys(self._digest.hash, self._digest.size, auth, b"", False)
        priv = self._priv.localize_key(self._digest.number, self._priv_password, name).asOctets()
        return Keys(self._digest.hash, self._digest.size, auth, priv, self._is_des)


class Keys:
    """A user's keys at one device."""

    __slots__ = ("_auth", "_hash", "_is_des", "_priv", "_salt", "digest_size")

    def __init__(self, hash_name: str, digest_size: int, auth: bytes, priv: bytes, is_des: bool) -> None:
        self._hash, self.digest_size, self._auth, self._priv, self._is_des = (
            hash_name,
            digest_size,
            auth,
            priv,
            is_des,
        )
        # No salt may come twice under one key; two processes that use one start at different places.
        self._salt = secrets.randbits(64)

    def digest(self, message: bytes) -> bytes:
        """What authenticates a message that has zeros in the place of its digest."""
        return hmac.digest(self._auth, message, self._hash)[: self.digest_size]

    def encrypt(self, plain: bytes, boots: int, seconds: int) -> tuple[bytes, bytes]:
        """A text and its salt, at a time of the device's engine."""
        self._salt = (self._salt + 1) % 2**64
        salt = self._salt.to_bytes(8, "big")
        if self._is_des:
            salt = boots.to_bytes(4, "big") + salt[4:]
            plain += bytes(-len(plain) % 8)
        encryptor = self._cipher(boots, seconds, salt).encryptor()
        return encryptor.update(plain) + encryptor.finalize(), salt

    def decrypt(self, text: bytes, boots: int, seconds: int, salt: bytes) -> bytes:
        """What a text and its salt were made of, and perhaps some padding; raises BerError."""
        if len(salt) != 8 or (self._is_des and len(text) % 8):
            raise BerError("what is encrypted in it has not the length that it must have")
        decryptor = self._cipher(boots, seconds, salt).decryptor()
        return decryptor.update(text) + decryptor.finalize()

    def _cipher(self, boots: int, seconds: int, salt: bytes) -> Cipher[CBC] | Cipher[CFB]:
        if self._is_des:
            # Three times the same key makes a single DES of the triple one.
            start = bytes(one ^ other for one, other in zip(salt, self._priv[8:16], strict=True))
            return Cipher(TripleDES(self._priv[:8] * 3), CBC(start))
        return Cipher(AES(self._priv), CFB(boots.to_bytes(4, "big") + seconds.to_bytes(4, "big") + salt))
