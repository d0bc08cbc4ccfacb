"""Messages of SNMPv3 as bytes: what is taken for a device's, and that nothing else is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.errors import BerError
from exporter.snmp import ber, usm
from exporter.snmp.ber import Response
from exporter.snmp.keys import AUTH, PRIV, Keys, User
from exporter.snmp.usm import Discovery, Engine, Report, Request
from tests.servers import Snmpd
from tests.snmp.agents import signed, tlv

SYS_NAME = ber.parse_oid("1.3.6.1.2.1.1.5.0")
CONFIG = """
sysName a-host
createUser none
createUser auth SHA-256 "a password"
createUser priv SHA-256 "a password" AES "another password"
createUser des MD5 "a password" DES "another password"
rouser none noauth
rouser auth auth
rouser priv priv
rouser des priv
"""
USERS = [
    User("none", "noAuthNoPriv"),
    User("auth", "authNoPriv", "SHA256", b"a password"),
    User("priv", "authPriv", "SHA256", b"a password", "AES", b"another password"),
    User("des", "authPriv", "MD5", b"a password", "DES", b"another password"),
]
every_user = pytest.mark.parametrize("place", range(len(USERS)), ids=["none", "auth", "priv", "des"])


class Exchange:
    """A request, and what net-snmp's agent has answered to it."""

    def __init__(self, port: int, user: User) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", port))
        found = Discovery().read(self._ask(Discovery().datagram(1)))
        self.engine = Engine(user, found.engine, found.boots, found.seconds)
        self.request = self.another(2)
        self.answer = self._ask(self.request.datagram(2))
        self.sock.close()

    def another(self, number: int) -> Request:
        """The same request under another number, not sent."""
        request = Request(self.engine, self.engine.user.flags, b"", ber.GET, [SYS_NAME])
        request.datagram(number)
        return request

    def _ask(self, data: bytes) -> bytes:
        self.sock.send(data)
        return self.sock.recv(65_535)


@pytest.fixture(scope="module")
def exchanges() -> Iterator[list[Exchange]]:
    with Snmpd(CONFIG) as snmpd:
        yield [Exchange(snmpd.port, user) for user in USERS]


@every_user
def test_an_answer_is_read(exchanges: list[Exchange], place: int) -> None:
    """At every level; it stays good for as long as the clocks allow."""
    exchange = exchanges[place]
    response = exchange.request.read(exchange.answer)
    assert isinstance(response, Response)
    assert response.varbinds == [(SYS_NAME, ber.OCTET_STRING, b"a-host")]


@pytest.mark.parametrize("place", [1, 2, 3], ids=["auth", "priv", "des"])
def test_no_byte_of_a_signed_answer_can_be_changed(exchanges: list[Exchange], place: int) -> None:
    """Whichever bit is another, it is not the device's answer any more."""
    exchange = exchanges[place]
    for at in range(len(exchange.answer)):
        changed = bytearray(exchange.answer)
        changed[at] ^= 1 << at % 8
        with pytest.raises(BerError):
            exchange.request.read(bytes(changed))


@every_user
def test_an_answer_cut_off_anywhere_is_refused(exchanges: list[Exchange], place: int) -> None:
    """However much of it is missing."""
    exchange = exchanges[place]
    for size in range(len(exchange.answer)):
        with pytest.raises(BerError):
            exchange.request.read(exchange.answer[:size])


@every_user
def test_an_answer_to_another_request_is_refused(exchanges: list[Exchange], place: int) -> None:
    """Even from the same device to the same user: it may have been recorded."""
    with pytest.raises(BerError, match="another request"):
        exchanges[place].another(3).read(exchanges[place].answer)


@every_user
def test_an_answer_to_another_user_is_refused(exchanges: list[Exchange], place: int) -> None:
    """Of any other level or name."""
    for other in range(len(USERS)):
        if other != place:
            with pytest.raises(BerError):
                exchanges[other].another(2).read(exchanges[place].answer)


@pytest.mark.parametrize("place", [1, 2, 3], ids=["auth", "priv", "des"])
def test_an_old_answer_is_refused(exchanges: list[Exchange], place: int) -> None:
    """Signed answers are believed for 150 seconds by the device's clock, and only of its present boot."""
    exchange = exchanges[place]
    engine = exchange.engine
    boots, seconds = engine.clock()
    try:
        for late in [(boots + 1, 0), (boots, seconds + 152)]:
            engine.set_clock(*late)
            with pytest.raises(BerError, match="older"):
                exchange.request.read(exchange.answer)
        engine.set_clock(boots, seconds + 140)
        assert isinstance(exchange.request.read(exchange.answer), Response)
    finally:
        engine.set_clock(boots, seconds)


def test_a_clock_goes_on_by_itself_and_follows_the_device() -> None:
    """Between answers it runs, and each answer sets it, back by a little as well: the device's clock counts."""
    engine = Engine(USERS[1], b"\x80\0\0\0\1", 5, 1000)
    assert engine.clock()[0] == 5
    assert engine.hear(5, 1100)
    assert 1100 <= engine.clock()[1] <= 1102
    assert engine.hear(5, 1090)  # out of order: no step back
    assert engine.clock()[1] >= 1100
    assert not engine.hear(5, 900)
    assert not engine.hear(4, 5000)
    assert engine.hear(6, 3)
    assert engine.clock()[0] == 6
    assert not engine.hear(2**31 - 1, 0)


# Messages that the test signs itself, as an agent might that means harm or is broken.


ENGINE = b"\x80\0\0\0\1"


def sealed(
    keys: Keys, user: User, number: int, flags: int, scoped: bytes, boots: int = 5, seconds: int = 100
) -> bytes:
    """A message with a digest and a cipher that are right, whatever it holds."""
    salt = b""
    if flags & PRIV:
        text, salt = keys.encrypt(scoped, boots, seconds)
        scoped = tlv(4, text)
    header = tlv(0x30, tlv(2, signed(number)), tlv(2, signed(65_507)), tlv(4, bytes([flags])), tlv(2, b"\3"))
    digest = bytes(keys.digest_size if flags & AUTH else 0)
    clock = tlv(2, signed(boots)) + tlv(2, signed(seconds))

    def whole(digest: bytes) -> bytes:
        security = tlv(0x30, tlv(4, ENGINE), clock, tlv(4, user.name), tlv(4, digest), tlv(4, salt))
        return tlv(0x30, tlv(2, b"\3"), header, tlv(4, security), scoped)

    return whole(keys.digest(whole(digest))) if flags & AUTH else whole(b"")


def scoped_pdu(
    number: int, kind: int = ber.RESPONSE, engine: bytes = ENGINE, context: bytes = b"", name: bytes = SYS_NAME
) -> bytes:
    varbind = tlv(0x30, tlv(6, name), tlv(4, b"a-host"))
    pdu = tlv(kind, tlv(2, signed(number)), tlv(2, b"\0"), tlv(2, b"\0"), tlv(0x30, varbind))
    return tlv(0x30, tlv(4, engine), tlv(4, context), pdu)


def asking(user: User) -> Request:
    request = Request(Engine(user, ENGINE, 5, 100), user.flags, b"", ber.GET, [SYS_NAME])
    request.datagram(77)
    return request


@every_user
def test_sealed_messages_are_read(place: int) -> None:
    """What the other tests here seal is right, but for what they change."""
    user = USERS[place]
    found = asking(user).read(sealed(user.keys(ENGINE), user, 77, user.flags, scoped_pdu(77)))
    assert isinstance(found, Response)
    assert found.varbinds == [(SYS_NAME, ber.OCTET_STRING, b"a-host")]


@every_user
def test_an_answer_is_as_secure_as_the_question(place: int) -> None:
    """A response that is less so, or more, or encrypted without being signed, is refused; a report may be less."""
    user = USERS[place]
    for flags in {0, AUTH, PRIV, AUTH | PRIV} - {user.flags}:
        keys = USERS[2].keys(ENGINE) if flags & ~user.flags else user.keys(ENGINE)
        with pytest.raises(BerError):
            asking(user).read(sealed(keys, user, 77, flags, scoped_pdu(77)))
    report = asking(user).read(sealed(user.keys(ENGINE), user, 77, 0, scoped_pdu(0, usm.REPORT)))
    assert report == Report(SYS_NAME, ENGINE, 5, 100)


@every_user
def test_a_report_of_the_devices_time_is_signed(place: int) -> None:
    """Only the device itself may tell a client that it has another time: such a report is signed, or none."""
    user = USERS[place]
    keys = user.keys(ENGINE)
    scoped = scoped_pdu(0, usm.REPORT, name=usm.NOT_IN_TIME)
    assert asking(user).read(sealed(keys, user, 77, user.flags & AUTH, scoped)).counter == usm.NOT_IN_TIME
    if user.flags & AUTH:
        with pytest.raises(BerError, match="not signed"):
            asking(user).read(sealed(keys, user, 77, 0, scoped))


@every_user
@pytest.mark.parametrize(
    "scoped",
    [
        scoped_pdu(77, engine=b"\x80\0\0\0\2"),
        scoped_pdu(77, context=b"another"),
        scoped_pdu(78),
        scoped_pdu(77, kind=ber.GET),
        b"",
        b"\x30\x00",
        b"\x30\x82\xff\xff",
        scoped_pdu(77)[:-12],
    ],
    ids=["engine", "context", "number", "request", "empty", "nothing", "too long", "cut off"],
)
def test_sealed_nonsense_is_refused(place: int, scoped: bytes) -> None:
    """Even with the right keys, an answer is one to what was asked."""
    user = USERS[place]
    with pytest.raises(BerError):
        asking(user).read(sealed(user.keys(ENGINE), user, 77, user.flags, scoped))


@every_user
@given(st.binary(max_size=400))
def test_any_sealed_bytes_are_an_answer_or_a_ber_error(place: int, scoped: bytes) -> None:
    """What is within the seal raises nothing else."""
    user = USERS[place]
    with pytest.raises(BerError):
        asking(user).read(sealed(user.keys(ENGINE), user, 77, user.flags, scoped))


@given(st.binary(max_size=600), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8))
def test_any_bytes_are_an_answer_or_a_ber_error(noise: bytes, edits: list[tuple[int, int]]) -> None:
    """Noise, and messages with some bytes changed, raise nothing else."""
    data = bytearray(sealed(USERS[0].keys(ENGINE), USERS[0], 77, 0, scoped_pdu(77)))
    for place, byte in edits:
        data[place % len(data)] = byte
    for user in USERS:
        for request in (asking(user), Discovery()):
            for message in (noise, bytes(data)):
                try:
                    assert isinstance(request.read(message), Response | Report)
                except BerError:
                    continue


def test_the_largest_datagrams_cost_little() -> None:
    """The worst that fits into a datagram is dealt with in a fraction of a second, signed or not."""
    began = time.process_time()
    for user in USERS:
        many = scoped_pdu(77)[:-30] + b"\x30\x04\x06\x00\x05\x00" * 10_800
        for scoped in (many, b"\x30\x82\xff\x00" * 16_000, bytes(65_000)):
            with pytest.raises(BerError):
                asking(user).read(sealed(user.keys(ENGINE), user, 77, user.flags, scoped))
    assert time.process_time() - began < 2


# Keys.


def test_passwords_become_the_keys_of_the_standard() -> None:
    """The examples of RFC 3414, appendix A.3: each key signs as the standard's key does."""
    engine = bytes.fromhex("000000000000000000000002")
    examples = {
        "MD5": "526f5eed9fcce26f8964c2930787d82b",
        "SHA": "6695febc9288e36282235fc7151f128497b38f3f",
    }
    for protocol, key in examples.items():
        keys = User("bert", "authNoPriv", protocol, b"maplesyrup").keys(engine)
        expected = Keys({"MD5": "md5", "SHA": "sha1"}[protocol], 12, bytes.fromhex(key), b"", False)
        assert keys.digest(b"any message") == expected.digest(b"any message")


@pytest.mark.parametrize("place", [2, 3], ids=["aes", "des"])
def test_no_salt_comes_twice(place: int) -> None:
    """The same text is never encrypted in the same way, not even by another process with the same key."""
    one, other = USERS[place].keys(ENGINE), USERS[place].keys(ENGINE)
    sealed_texts = [keys.encrypt(b"the same text ..", 5, 100) for keys in (one, other) for _ in range(100)]
    assert len(set(sealed_texts)) == len({text for text, _ in sealed_texts}) == 200
    for text, salt in sealed_texts:
        assert other.decrypt(text, 5, 100, salt) == b"the same text .."


def test_users_and_keys_do_not_show_their_secrets() -> None:
    """Neither printed nor in whatever shows an object's fields."""
    for thing in (USERS[2], USERS[2].keys(ENGINE), asking(USERS[2]), Engine(USERS[2], ENGINE, 1, 1)):
        for shown in (repr(thing), str(thing), f"{thing}"):
            assert "password" not in shown
            assert len(shown) < 100


@pytest.mark.parametrize(
    "access",
    [
        ("u", "authpriv"),
        ("u", "authNoPriv", "SHA1", b"password"),
        ("u", "authPriv", "SHA", b"password", "3DES", b"x"),
    ],
)
def test_protocols_that_there_are_not(access: tuple[str, str, str, bytes]) -> None:
    """A user is made of levels and protocols that are known."""
    with pytest.raises(ValueError, match="there is no"):
        User(*access)
