"""Clients of devices by either version, and what stays of one while its host name goes from address to address."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import TYPE_CHECKING, Any

from exporter import addresses
from exporter.errors import SnmpError
from exporter.snmp.jobs import Access, Job
from exporter.snmp.session import Agent, Session, Traffic
from exporter.snmp.walk import Client, V2Client

if TYPE_CHECKING:
    from exporter.snmp.keys import User

#: A host name is looked up again this often, as for pings, and this soon where that has brought nothing.
_LOOK_UP, _LOOK_UP_AGAIN = 300.0, 30.0
#: A look-up may take so many seconds, and so much of the interval.
_PATIENCE, _SHARE = 10.0, 0.4


class Clients:
    """Makes clients of either version; those of one process share its sockets."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._users: dict[Access, User] = {}

    async def client(self, job: Job, timeout: float, retries: int) -> Client:
        """Raises SnmpError for a name without an address."""
        return self.at((await look_up(job.host, job.port))[0], job.access, timeout, retries)

    def at(self, address: tuple[Any, ...], access: Access, timeout: float, retries: int) -> Client:
        """A client for a socket address."""
        agent = Agent(address, timeout, retries)
        if access.version == 2:
            return V2Client(self._session, agent, access.community)
        from exporter.snmp.keys import User  # noqa: PLC0415 - 20 MB that most inventories do not need
        from exporter.snmp.v3 import V3Client  # noqa: PLC0415 - the same

        if access not in self._users:
            self._users[access] = User(
                access.username,
                access.security_level,
                access.auth_protocol,
                access.password,
                access.priv_protocol,
                access.priv_password,
            )
        return V3Client(self._session, agent, self._users[access], access.context_name)


async def look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    """The socket addresses of a host, at least one; raises SnmpError."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except OSError as error:
        raise SnmpError("unreachable", f"{host} has no address: {error.strerror}") from error
    except UnicodeError as error:
        raise SnmpError("unreachable", f"{host} has no address: it is no host name") from error
    return [address for *_, address in found]


class Line:
    """The client of one device: the same from poll to poll, until its host name has another address."""

    def __init__(self, job: Job, interval: float) -> None:
        self._job = job
        self._patience = min(_PATIENCE, _SHARE * interval)
        self._is_name = addresses.family(job.host) == 0
        self._client: Client | None = None
        self._address: tuple[Any, ...] = ()
        self._due = 0.0
        #: Of all its clients together.
        self.traffic = Traffic()

    async def client(self, clients: Clients) -> Client:
        """Raises SnmpError while the device has no address; one that it had is kept where a look-up fails."""
        if self._client is None or (self._is_name and time.monotonic() >= self._due):
            try:
                await self._look_up(clients)
            except SnmpError as error:
                self._due = time.monotonic() + _LOOK_UP_AGAIN
                if self._client is None:
                    raise self.traffic.failure(error.kind, str(error)) from error
        assert self._client is not None
        return self._client

    def doubt(self) -> None:
        """Look the name up before the next poll: who is silent may have moved."""
        self._due = min(self._due, time.monotonic())

    async def _look_up(self, clients: Clients) -> None:
        try:
            async with asyncio.timeout(self._patience):
                found = await look_up(self._job.host, self._job.port)
        except TimeoutError:
            message = f"{self._job.host} has no address: no answer within {self._patience:g} s"
            raise SnmpError("unreachable", message) from None
        self._due = time.monotonic() + _LOOK_UP
        if self._address not in found:
            self._address = found[0]
            # Who asks says how patiently before each question.
            self._client = clients.at(self._address, self._job.access, 0.0, 0)
            self._client.traffic = self.traffic
