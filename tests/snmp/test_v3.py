"""SNMPv3 with net-snmp's agent, by every protocol that there is; and what is told where it does not work."""

from __future__ import annotations

import asyncio
import itertools
import traceback
from collections.abc import Iterator, Sequence

import pytest

from exporter.errors import SnmpError
from exporter.snmp import ber, session
from exporter.snmp.ber import VarBind
from exporter.snmp.keys import User
from exporter.snmp.session import Session
from exporter.snmp.v3 import V3Client
from exporter.snmp.walk import Client, V2Client
from tests.servers import Snmpd
from tests.servers.snmpd import COMMUNITY
from tests.snmp.agents import run, tlv, tree
from tests.snmp.asking import NEVER, SHORT
from tests.snmp.netsnmp import as_text, bulkwalk
from tests.snmp.relay import Relay, Tamper

#: The protocols, as net-snmp calls them.
AUTH = {
    "MD5": "MD5",
    "SHA": "SHA",
    "SHA224": "SHA-224",
    "SHA256": "SHA-256",
    "SHA384": "SHA-384",
    "SHA512": "SHA-512",
}
PRIV = {
    "DES": "DES",
    "AES": "AES",
    "AES192": "AES-192",
    "AES256": "AES-256",
    "AES192C": "AES-192-C",
    "AES256C": "AES-256-C",
}
PASSWORD, PRIV_PASSWORD = "one secret of many", "another secret"
Access = tuple[str, str, str, bytes, str, bytes]
EVERY: list[Access] = [
    ("nobody", "noAuthNoPriv", "", b"", "", b""),
    *((f"user-{auth}", "authNoPriv", auth, PASSWORD.encode(), "", b"") for auth in AUTH),
    *(
        (f"user-{auth}-{priv}", "authPriv", auth, PASSWORD.encode(), priv, PRIV_PASSWORD.encode())
        for auth, priv in itertools.product(AUTH, PRIV)
    ),
]
GOOD: Access = ("user-SHA256-AES", "authPriv", "SHA256", PASSWORD.encode(), "AES", PRIV_PASSWORD.encode())
SYS_NAME = ber.parse_oid("1.3.6.1.2.1.1.5.0")
#: Of the agent's own tables, those that no poll changes.
STEADY = (".1.3.6.1.2.1.1.9.1.2", ".1.3.6.1.2.1.1.9.1.3", ".1.3.6.1.2.1.25.6.3.1.2", ".1.3.6.1.4.1.8072.1.3")


def users(every: Sequence[Access] = EVERY) -> str:
    lines = ["sysName a-host", "extend lines /usr/bin/seq 100"]
    for name, level, auth, password, priv, priv_password in every:
        words = [f"createUser {name}"]
        words += [f'{AUTH[auth]} "{password.decode()}"'] if auth else []
        words += [f'{PRIV[priv]} "{priv_password.decode()}"'] if priv else []
        lines += [" ".join(words), f"rouser {name} {level.removesuffix('NoPriv').lower()}"]
    return "\n".join(lines)


@pytest.fixture(scope="module")
def snmpd() -> Iterator[Snmpd]:
    with Snmpd(users()) as running:
        yield running


def at(port: int, timeout: float = NEVER, retries: int = 0) -> session.Agent:
    return session.Agent.at("127.0.0.1", port, timeout, retries)


async def walked(client: Client) -> list[VarBind]:
    return await client.walk([ber.parse_oid(root) for root in STEADY], 25)


async def refused(client: Client) -> SnmpError:
    with pytest.raises(SnmpError) as caught:
        await client.get([SYS_NAME])
    return caught.value


NAMED = [(SYS_NAME, ber.OCTET_STRING, b"a-host")]


# What works.


@pytest.mark.parametrize("access", EVERY, ids=lambda access: f"{access[2]}-{access[4]}")
def test_every_protocol_brings_what_v2c_brings(snmpd: Snmpd, access: Access) -> None:
    """The same rows, byte by byte, whichever way they were signed and encrypted."""

    async def test() -> None:
        with Session(10) as snmp:
            plain = V2Client(snmp, at(snmpd.port), COMMUNITY.encode())
            secure = V3Client(snmp, at(snmpd.port), User(*access))
            assert await secure.get([SYS_NAME, *[ber.parse_oid("1.3.6.1.2.1.1.99.0")]]) == NAMED
            found = await walked(secure)
            assert len(found) > 100
            assert found == await walked(plain)
        assert secure.traffic.sent == secure.traffic.received
        assert not secure.traffic.errors

    run(test())


def test_whole_subtrees_are_as_snmpbulkwalk_reads_them(snmpd: Snmpd) -> None:
    """By SNMPv3 on both sides."""
    name, level, _, password, _, priv_password = GOOD
    access = ["-v3", "-u", name, "-l", level, "-a", "SHA-256", "-A", password.decode()]
    access += ["-x", "AES", "-X", priv_password.decode()]

    async def test() -> None:
        with Session(10) as snmp:
            assert as_text(await walked(V3Client(snmp, at(snmpd.port), User(*GOOD)))) == bulkwalk(
                snmpd, STEADY, access
            )

    run(test())


def relayed(snmpd: Snmpd, tamper: Tamper) -> Relay:
    return Relay(snmpd.port, tamper)


def test_replies_fit_into_a_frame(snmpd: Snmpd) -> None:
    """What signs and encrypts them is counted."""
    columns = [ber.parse_oid(f"1.3.6.1.2.1.25.6.3.1.{column}") for column in (1, 3, 4)]

    async def test(relay: Relay) -> None:
        with Session(10) as snmp:
            assert len(await V3Client(snmp, at(relay.port), User(*GOOD)).walk(columns, 100)) > 300

    with relayed(snmpd, lambda _, answer: [answer]) as relay:
        run(test(relay))
    # One is longer where the indexes become so, at 128, and the last two, whose rows are of other columns.
    sizes = sorted(len(answer) for answer in relay.answers)
    assert len(sizes) > 10
    assert 1400 < sizes[-4] <= 1472


def test_who_an_engine_is_is_asked_once(snmpd: Snmpd) -> None:
    """A client that is kept asks for no more than it needs."""

    async def test() -> None:
        with Session(10) as snmp:
            client = V3Client(snmp, at(snmpd.port), User(*GOOD))
            for _ in range(5):
                assert await client.get([SYS_NAME]) == NAMED
        assert client.traffic.sent == 6

    run(test())


def test_lost_and_doubled_answers(snmpd: Snmpd) -> None:
    """Every second answer is lost and all others come twice: a walk of it is whole."""
    counts = itertools.count()

    async def test(relay: Relay) -> None:
        with Session(10) as snmp:
            found = await walked(V3Client(snmp, at(relay.port, SHORT / 4, 5), User(*GOOD)))
            assert found == await walked(V2Client(snmp, at(snmpd.port), COMMUNITY.encode()))

    with relayed(snmpd, lambda _, answer: [answer] * 2 * (next(counts) % 2)) as relay:
        run(test(relay))


def test_two_auths_of_one_name_and_two_devices_of_one_engine() -> None:
    """Users are told apart by device, and clocks too: neither is kept under a name that others may have."""
    engine = "engineID the-same\n"
    other: Access = (*GOOD[:3], b"quite another secret", *GOOD[4:])

    async def test(one: Snmpd, two: Snmpd) -> None:
        with Session(10) as snmp:
            clients = [V3Client(snmp, at(one.port), User(*GOOD)), V3Client(snmp, at(two.port), User(*other))]
            for client in clients * 3:
                assert await client.get([SYS_NAME]) == NAMED
            for client in clients:
                assert client.traffic.sent == 4

    with Snmpd(engine + users([GOOD])) as one, Snmpd(engine + "engineBoots 900\n" + users([other])) as two:
        run(test(one, two))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("engineID same\nengineBoots 3", "engineID same\nengineBoots 77"),
        ("engineID same\nengineBoots 77", "engineID same\nengineBoots 3"),
        ("engineID one", "engineID two"),
    ],
    ids=["booted", "forgot its boots", "replaced"],
)
def test_a_device_that_is_another_than_before(before: str, after: str) -> None:
    """It has booted, has lost count of that, or stands in another's place: the client adapts without an error."""

    async def test() -> None:
        with Session(10) as snmp:
            with Snmpd(f"{before}\n{users([GOOD])}") as snmpd:
                client = V3Client(snmp, at(snmpd.port), User(*GOOD))
                assert await client.get([SYS_NAME]) == NAMED
            with Snmpd(f"{after}\n{users([GOOD])}", port=snmpd.port):
                assert await client.get([SYS_NAME]) == NAMED
                sent = client.traffic.sent
                assert await client.get([SYS_NAME]) == NAMED
        assert client.traffic.sent == sent + 1
        assert not client.traffic.errors

    run(test())


# What does not.


def but(**changes: object) -> Access:
    """The good access, but for some of it."""
    keys = ("name", "level", "auth", "password", "priv", "priv_password")
    access: Access = tuple(changes.get(key, value) for key, value in zip(keys, GOOD, strict=True))  # type: ignore[assignment]
    return access


@pytest.mark.parametrize(
    ("access", "kind", "message"),
    [
        (but(name="stranger"), "credentials", "does not know 'stranger'"),
        (but(password=b"not the password"), "credentials", "another password or authentication protocol"),
        (but(auth="SHA"), "credentials", "another password or authentication protocol"),
        (but(priv_password=b"not the password"), "credentials", "another privacy password or protocol"),
        (but(priv="AES256"), "credentials", "another privacy password or protocol"),
        (but(name="user-SHA256"), "credentials", "at this security level"),
        (but(level="authNoPriv"), "refused", "authorizationError"),
        (but(level="noAuthNoPriv"), "refused", "authorizationError"),
    ],
    ids=lambda value: "" if isinstance(value, tuple) else None,
)
def test_credentials_that_are_not_the_devices(snmpd: Snmpd, access: Access, kind: str, message: str) -> None:
    """What is wrong with them is told, as far as the device tells; and never what they are."""

    async def test() -> None:
        with Session(10) as snmp:
            client = V3Client(snmp, at(snmpd.port, 1.0), User(*access))
            error = await refused(client)
        assert error.kind == kind
        assert message in str(error)
        assert client.traffic.errors[kind] == 1
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        for secret in (access[3], access[5]):
            assert secret.decode() not in shown

    run(test())


@pytest.mark.parametrize(("answered", "asked"), [(0, 2), (1, 5)])
def test_a_silent_device_is_a_timeout(snmpd: Snmpd, answered: int, asked: int) -> None:
    """Whether it says who it is or not; what it is asked to tell a wrong password from silence has a bound."""
    counts = itertools.count()

    async def test(relay: Relay) -> None:
        with Session(10) as snmp:
            client = V3Client(snmp, at(relay.port, SHORT, 1), User(*GOOD))
            assert (await refused(client)).kind == "timeout"
        assert client.traffic.sent == asked

    with relayed(snmpd, lambda _, answer: [answer] * (next(counts) < answered)) as relay:
        run(test(relay))


def untree(elements: object) -> bytes:
    """A message out of its elements again."""
    assert isinstance(elements, list)
    return b"".join(
        tlv(tag, untree(content) if isinstance(content, list) else content) for tag, content in elements
    )


def reporting(counter: int, engine: bytes | None = None) -> Tamper:
    """Answer anything but a discovery with a report of a counter of USM's, and perhaps another engine.

    It is unsigned, but for one of the engine's time (counter 2).
    """
    signed = counter == 2

    def tamper(request: bytes, answer: bytes) -> Sequence[bytes]:
        ((_, message),) = tree(request)
        ((_, security),) = tree(message[2][1])
        if security[3][1] == b"":
            return [answer]
        number = message[1][1][0][1]
        header = (0x30, [(2, number), *message[1][1][1:2], (4, bytes([signed])), (2, b"\3")])
        who = security[3][1] if signed else b""
        digest = bytes(24 * signed)
        about = (0x30, [(4, engine or security[0][1]), (2, b"\5"), (2, b"\5"), (4, who), (4, digest), (4, b"")])
        name = ber.parse_oid(f"1.3.6.1.6.3.15.1.1.{counter}.0")
        pdu = (0xA8, [(2, number), (2, b"\0"), (2, b"\0"), (0x30, [(0x30, [(6, name), (0x41, b"\1")])])])
        scoped = (0x30, [(4, security[0][1]), (4, b""), pdu])
        whole = untree([(0x30, [message[0], header, (4, untree([about])), scoped])])
        if signed:
            whole = whole.replace(digest, User(*GOOD).keys(security[0][1]).digest(whole))
        return [whole]

    return tamper


@pytest.mark.parametrize(
    ("tamper", "kind"),
    [
        (reporting(2), "clock"),
        (reporting(4, b"\x80\0\0\0\1"), "malformed"),
        (reporting(1), "credentials"),
        (reporting(3), "credentials"),
        (reporting(5), "credentials"),
        (reporting(6), "credentials"),
        (reporting(99), "refused"),
    ],
    ids=["clock", "engine", "level", "user", "digest", "decryption", "unknown"],
)
def test_reports_without_end(snmpd: Snmpd, tamper: Tamper, kind: str) -> None:
    """A device that reports the same again and again, whatever it is told, is given up after a few messages."""

    async def test(relay: Relay) -> None:
        with Session(10) as snmp:
            client = V3Client(snmp, at(relay.port), User(*GOOD))
            error = await refused(client)
        assert error.kind == kind
        assert client.traffic.sent <= 10
        assert client.traffic.errors == {kind: 1}

    with relayed(snmpd, tamper) as relay:
        run(test(relay))


def test_answers_that_have_been_changed(snmpd: Snmpd) -> None:
    """A reply with another byte in it is no answer, and the next one is as good as ever."""
    counts = itertools.count()

    def tamper(_: bytes, answer: bytes) -> Sequence[bytes]:
        return [answer if next(counts) != 1 else answer[:-1] + bytes([answer[-1] ^ 1])]

    async def test(relay: Relay) -> None:
        with Session(10) as snmp:
            client = V3Client(snmp, at(relay.port, 1.0), User(*GOOD))
            error = await refused(client)
            assert error.kind == "malformed"
            assert "digest is wrong" in str(error)
            assert await client.get([SYS_NAME]) == NAMED

    with relayed(snmpd, tamper) as relay:
        run(test(relay))


def test_many_devices_at_once(snmpd: Snmpd) -> None:
    """Clients that share a session and a user do not mix."""
    user = User(*GOOD)

    async def test() -> None:
        with Session(20, each=20) as snmp:
            clients = [V3Client(snmp, at(snmpd.port), user) for _ in range(20)]
            found = await asyncio.gather(*(walked(client) for client in clients))
        assert all(one == found[0] for one in found)

    run(test())
