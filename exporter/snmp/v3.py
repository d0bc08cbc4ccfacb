"""A device by SNMPv3: its engine is found out first, and again when it has changed, and its reports are heeded."""

from __future__ import annotations

from collections.abc import Sequence

from exporter.errors import SnmpError
from exporter.snmp import ber, usm
from exporter.snmp.ber import Response
from exporter.snmp.keys import AUTH, PRIV, User
from exporter.snmp.session import Agent, Conversation, Session
from exporter.snmp.usm import Engine, Report
from exporter.snmp.walk import Client

#: What a message of SNMPv3 has around its PDU, beside that of SNMPv2c.
_AROUND = 130
#: Who an engine is, and what time it has there: a device that asks for more is never content.
_ROUNDS = 4
_USM = "1.3.6.1.6.3.15.1.1"
_UNKNOWN_ENGINE = ber.parse_oid(f"{_USM}.4.0")
_REPORTS = {
    ber.parse_oid(f"{_USM}.1.0"): ("credentials", "it does not take messages of {user} at this security level"),
    ber.parse_oid(f"{_USM}.3.0"): ("credentials", "it does not know {user}"),
    ber.parse_oid(f"{_USM}.5.0"): ("credentials", "it has another password or authentication protocol for {user}"),
    ber.parse_oid(f"{_USM}.6.0"): ("credentials", "it has another privacy password or protocol for {user}"),
    ber.parse_oid("1.3.6.1.6.3.12.1.4.0"): ("refused", "the context is not available"),
    ber.parse_oid("1.3.6.1.6.3.12.1.5.0"): ("refused", "it does not know the context"),
}


class V3Client(Client):
    """One device by SNMPv3."""

    def __init__(self, session: Session, agent: Agent, user: User, context: str = "") -> None:
        super().__init__(session, agent, _AROUND)
        self._user = user
        self._shown = repr(user.name.decode())
        self._context = context.encode()
        self._engine: Engine | None = None
        #: Whether the engine has ever answered the user.
        self._known = False

    def _ask(self, kind: int, oids: Sequence[bytes], max_repetitions: int) -> Conversation[Response]:
        report: Report | None = None
        for _ in range(_ROUNDS):
            if self._engine is None:
                report = yield usm.Discovery()
                self._engine = Engine(self._user, report.engine, report.boots, report.seconds)
            try:
                answer = yield usm.Request(
                    self._engine, self._user.flags, self._context, kind, oids, max_repetitions
                )
            except SnmpError as error:
                if error.kind == "timeout" and self._user.flags & PRIV and not self._known:
                    yield from self._ask_in_clear(self._engine)
                # Another device may stand in its place, and be silent about messages for the former one.
                self._engine = None
                raise
            if isinstance(answer, Response):
                self._known = True
                return answer
            report = answer
            self._heed(report)
        if report is not None and report.counter == usm.NOT_IN_TIME:
            raise self.traffic.failure(
                "clock", "it takes no message for one of its own time, whatever time that is"
            )
        raise self.traffic.failure("malformed", "its engine has another identifier each time")

    def _heed(self, report: Report) -> None:
        """Do as a report says, or raise it as an error."""
        if self._engine is not None and report.counter == usm.NOT_IN_TIME and report.engine == self._engine.name:
            # It has booted, or its clock is another. What is older than we thought is not refused here: it answers
            # a message that was sent just now.
            self._engine.set_clock(report.boots, report.seconds)
        elif report.counter == _UNKNOWN_ENGINE:
            self._engine = None
        else:
            unknown = ("refused", f"it reports {ber.shown(report.counter)}")
            kind, message = _REPORTS.get(report.counter, unknown)
            raise self.traffic.failure(kind, message.format(user=self._shown))

    def _ask_in_clear(self, engine: Engine) -> Conversation[None]:
        """Ask for nothing, signed but not encrypted: many agents are silent about what they cannot decrypt.

        Raises the SnmpError that this tells; returns if the device is silent about it, too.
        """
        try:
            answer = yield usm.Request(engine, AUTH, self._context, ber.GET, ())
        except SnmpError:
            return
        if isinstance(answer, Report):
            self._heed(answer)
        else:
            message = f"it answers {self._shown} but for what is encrypted: another privacy password or protocol"
            raise self.traffic.failure("credentials", message)
