"""The command line: `ward-exporter serve`, `check`, `discover`, `encrypt` and `alert-log`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from exporter import __version__, logs, privileges
from exporter.errors import WardError
from exporter.inventory.shard import WHOLE, Shard


def parser() -> argparse.ArgumentParser:
    """All flags; documented in docs/command-line.md."""
    top = argparse.ArgumentParser(
        prog="ward-exporter",
        description="Probes a network inventory every second for Prometheus.",
        # An abbreviation that works today would be another flag's tomorrow.
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"ward-exporter {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    config = _config("a built-in one that probes loopback addresses")
    web = argparse.ArgumentParser(add_help=False)
    web.add_argument(
        "--web.config.file",
        dest="web",
        type=Path,
        metavar="FILE",
        help="TLS, users and limits of the web interface, in exporter-toolkit's format; without it, all is open",
    )
    shard = argparse.ArgumentParser(add_help=False)
    shard.add_argument(
        "--shard",
        type=_shard,
        default=WHOLE,
        metavar="I/N",
        help="one of N parts of the inventory, 0/N to N-1/N; default: %(default)s, all of it",
    )
    serve = commands.add_parser(
        "serve", parents=[config, web, shard], help="probe, and serve /metrics", allow_abbrev=False
    )
    serve.add_argument(
        "--web.listen-address", dest="address", default=":9841", metavar="HOST:PORT", help="default: %(default)s"
    )
    serve.add_argument(
        "--storage.path",
        dest="storage",
        type=Path,
        default=Path("data"),
        metavar="FOLDER",
        help="where verdicts and counters survive a restart; default: %(default)s",
    )
    serve.add_argument(
        "--log.level", dest="level", choices=logs.LEVELS, default="info", help="default: %(default)s"
    )
    serve.add_argument(
        "--log.format", dest="format", choices=logs.FORMATS, default="logfmt", help="default: %(default)s"
    )
    commands.add_parser(
        "check",
        parents=[config, web, shard],
        help="list every problem of a configuration and its inventory",
        allow_abbrev=False,
    )
    _add_discover(
        commands.add_parser(
            "discover",
            parents=[_config("ping alone")],
            help="find the devices in ranges of addresses, and write an inventory",
            allow_abbrev=False,
        )
    )
    encryption = commands.add_parser(
        "encrypt", help="turn a secret into text that may stand in ward.yml", allow_abbrev=False
    )
    encryption.add_argument(
        "--key.file", dest="key", type=Path, default=Path("ward.key"), metavar="FILE", help="default: %(default)s"
    )
    encryption.add_argument(
        "--key.generate",
        dest="generate",
        action="store_const",
        const=True,
        help="make a new key first; the file must not exist",
    )
    printer = commands.add_parser(
        "alert-log", help="print the notifications that Alertmanager sends to a webhook", allow_abbrev=False
    )
    printer.add_argument(
        "--web.listen-address",
        dest="address",
        default="127.0.0.1:9842",
        metavar="HOST:PORT",
        help="default: %(default)s",
    )
    return top


def _config(without: str) -> argparse.ArgumentParser:
    parent = argparse.ArgumentParser(add_help=False)
    meaning = f"ward.yml; without it, {without}"
    parent.add_argument("--config.file", dest="config", type=Path, metavar="FILE", help=meaning)
    return parent


def _add_discover(discover: argparse.ArgumentParser) -> None:
    discover.add_argument("ranges", nargs="+", metavar="RANGE", help="10.1.0.0/22, fd00:1::/120, 10.1.4.7")
    discover.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    for name, meaning in (
        ("force", "write over a file that exists"),
        ("yes", "go through more than 4,096 addresses"),
        ("all", "ask SNMP also of addresses that do not answer a ping"),
        ("dns", "ask DNS for the names that SNMP does not give"),
    ):
        discover.add_argument(f"--{name}", action="store_const", const=True, help=meaning)
    discover.add_argument(
        "--auth",
        dest="auths",
        action="append",
        metavar="NAME",
        help="try this auth, and no others but those named so",
    )
    discover.add_argument("--site", metavar="NAME", help="the site of all devices that are found")
    discover.add_argument(
        "--rate", type=int, default=1000, metavar="NUMBER", help="pings a second; default: %(default)s"
    )


def _shard(text: str) -> Shard:
    try:
        return Shard.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _check(options: argparse.Namespace) -> int:
    from exporter.tools.check import check  # noqa: PLC0415 - needs neither web server nor sockets

    return check(options.config, sys.stdout, options.web, options.shard)


def _encrypt(options: argparse.Namespace) -> int:
    from exporter.tools.encrypt import encrypt  # noqa: PLC0415 - what the others do without

    return encrypt(options.key, bool(options.generate), sys.stdin, sys.stdout)


def _alert_log(options: argparse.Namespace) -> int:
    from exporter.tools.alert_log import alert_log  # noqa: PLC0415 - what the others do without

    logs.set_up("info", "logfmt")
    return alert_log(options.address)


def _discover(options: argparse.Namespace) -> int:
    from exporter.tools.discover import Wish, discover  # noqa: PLC0415 - what the others do without

    wish = Wish(
        ranges=options.ranges,
        config=options.config,
        auths=options.auths or (),
        output=options.output,
        force=bool(options.force),
        large=bool(options.yes),
        everything=bool(options.all),
        dns=bool(options.dns),
        site=options.site or "",
        rate=options.rate,
    )
    return discover(wish, sys.stdout, sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 1 for a problem that is printed, 2 for wrong usage."""
    options = parser().parse_args(arguments)
    try:
        return _RUN[options.command](options)
    except WardError as error:
        if options.command == "serve" and options.format == "json":
            logging.getLogger(__name__).critical("%s", error)
        else:
            # A list of problems is for a person to read, line by line.
            print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _serve(options: argparse.Namespace) -> int:
    # A reload that is asked for while everything is being read for the first time asks for nothing more.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    privileges.confine()
    # numpy's own threads would come before the capabilities go; nothing here multiplies matrices. What is inherited
    # of this does not count.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    from exporter.service import Service  # noqa: PLC0415 - what `check` does without

    logs.set_up(options.level, options.format)
    service = Service(options.config, options.address, options.storage, options.web, _sockets_open, options.shard)
    return service.run()


def _sockets_open() -> None:
    privileges.drop()
    privileges.check_threads()
    privileges.check_reach()


_RUN = {
    "serve": _serve,
    "check": _check,
    "discover": _discover,
    "encrypt": _encrypt,
    "alert-log": _alert_log,
}
