"""snmp_exporter's page of a device beside ours, by the same modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.snmp.ber import VarBind
from exporter.snmp.layout import Layout
from exporter.snmp.modules import Module
from exporter.snmp.render import Renderer
from tests.servers import FLOOR, Generation, SnmpExporter

#: snmp.yml of those generations that have it apart from the modules.
AUTHS = "auths: {public_v2: {community: public, version: 2}}\n"


def ours(module: Module, answers: Sequence[VarBind]) -> str:
    """This exporter's page of a device that gives these answers, without labels of its own."""
    renderer = Renderer([Layout(module)], "")
    named_by = (*module.lookup_columns, *module.lookup_instances)
    renderer.learn(module.name, [answer for answer in answers if answer[0].startswith(named_by)])
    page = renderer.render({module.name: answers})
    assert (page.duplicates, page.over_limit) == (0, 0)
    return "".join(
        f"# HELP {name} {block.help}\n# TYPE {name} {block.kind}\n{block.lines.decode()}"
        for name, block in page.blocks.items()
    )


def theirs(peer: SnmpExporter, generation: Generation, module: str, port: int) -> str:
    """snmp_exporter's page of the agent on a port."""
    auth = "" if generation is FLOOR else "&auth=public_v2"
    status, _, body = peer.get(f"/snmp?target=127.0.0.1:{port}&module={module}{auth}")
    assert status == 200, body.decode()
    return body.decode()


def known_to(generation: Generation, paths: Sequence[Path]) -> dict[str, Any]:
    """The modules of some files, without what came after 0.21 where that is the generation."""
    modules: dict[str, Any] = {}
    for path in paths:
        modules |= yaml.safe_load(path.read_text())["modules"]
    if generation is FLOOR:
        for module in modules.values():
            module["metrics"] = [metric for metric in module["metrics"] if not _is_newer(metric)]
            for metric in module["metrics"]:
                # It garbles the one and dies of the other.
                wrong = {"InetAddress", "Bits"}
                metric["lookups"] = [one for one in metric.get("lookups", ()) if one.get("type") not in wrong]
    return modules


def _is_newer(metric: Mapping[str, Any]) -> bool:
    newer = {"scale", "offset", "datetime_pattern"}
    return not metric.keys().isdisjoint(newer) or metric["type"] == "NTPTimeStamp"


def in_format_of(generation: Generation, modules: Mapping[str, Any]) -> str:
    """These modules as the generation's exporter reads them: before 0.23 at the top level."""
    return yaml.safe_dump(modules) if generation is FLOOR else AUTHS + yaml.safe_dump({"modules": modules})
