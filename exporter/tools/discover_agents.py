"""What answers SNMP, and by which auth: each device is asked what it is, by one auth after another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from exporter.config_auths import Auth
from exporter.errors import PartialWalk, SnmpError
from exporter.snmp import ber, classify
from exporter.snmp.ber import VarBind, parse_oid
from exporter.snmp.classify import Class
from exporter.snmp.clients import Clients
from exporter.snmp.jobs import Job, access
from exporter.snmp.session import Session
from exporter.snmp.walk import Client

_NAME = parse_oid("1.3.6.1.2.1.1.5.0")
_ENGINE = parse_oid("1.3.6.1.6.3.10.2.1.1.0")
_PHYSICAL = parse_oid("1.3.6.1.2.1.2.2.1.6")
_QUESTIONS = (*classify.QUESTIONS, _NAME, _ENGINE)
#: Conversations under way in all: those of a whole sweep that needs no --yes, for most wait for nothing.
LIMIT = 4096
#: Rows of a reply.
_REPETITIONS = 25
#: Seconds and further tries for who is silent, however patient polls are; late answers count until the last ends.
LONGEST_TIMEOUT = 1.5
MOST_RETRIES = 1


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A device's answer: the auth that it takes, and what it says of itself; `name` is as it came."""

    auth: str
    name: bytes
    object_id: bytes
    engine: bytes
    what: Class
    client: Client


class Agents:
    """Asks by `auths`, in their order; `port` says where an address is asked by which auth."""

    def __init__(
        self,
        session: Session,
        auths: Mapping[str, Auth],
        port: Callable[[str, str], int],
        timeout: float,
        retries: int,
    ) -> None:
        self._clients = Clients(session)
        self._auths = auths
        self._port = port
        self._timeout = min(timeout, LONGEST_TIMEOUT)
        self._retries = min(retries, MOST_RETRIES)
        #: Addresses that know SNMPv3 and none of the users.
        self.strangers: set[str] = set()

    async def ask(self, address: str) -> Answer | None:
        """Its answer by the first auth that it takes; None where it takes none."""
        silent: set[int] = set()
        for name, auth in self._auths.items():
            how = access(auth)
            if how.version in silent:
                continue
            job = Job(address, address, self._port(address, name), how, "", ())
            client = await self._clients.client(job, self._timeout, self._retries)
            try:
                found = await _get(client)
            except SnmpError as error:
                if error.kind == "unreachable":
                    # ICMP says that nobody listens there: no other auth would change that.
                    return None
                if error.kind == "credentials":
                    self.strangers.add(address)
                if how.version == 3 and not client.traffic.received:
                    # An agent of SNMPv3 tells anybody who it is. That of SNMPv2c is silent to wrong communities.
                    silent.add(3)
            else:
                self.strangers.discard(address)
                return _answer(name, found, client)
        return None


async def _get(client: Client) -> list[VarBind]:
    try:
        return await client.get(_QUESTIONS)
    except PartialWalk as error:
        return error.varbinds


def _answer(auth: str, found: Sequence[VarBind], client: Client) -> Answer:
    facts = classify.facts(found)
    octets = {oid: value for oid, tag, value in found if tag == ber.OCTET_STRING}
    what = classify.classify(facts)
    return Answer(auth, octets.get(_NAME, b""), facts.object_id, octets.get(_ENGINE, b""), what, client)


async def physical_addresses(answers: Sequence[Answer]) -> list[frozenset[bytes] | None]:
    """The hardware addresses of each device's ports; None where it does not tell them all."""
    return await asyncio.gather(*map(_physical_addresses, answers))


async def _physical_addresses(answer: Answer) -> frozenset[bytes] | None:
    try:
        rows = await answer.client.walk([_PHYSICAL], _REPETITIONS)
    except SnmpError:
        return None
    # Ports without one have an empty one, or one of zeros.
    return frozenset(value for _, _, value in rows if any(value))
