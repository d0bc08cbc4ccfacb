"""Whose devices are whose: vendor, type, model and modules by sysObjectID, then by what stands in sysDescr."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exporter.snmp.ber import parse_oid

_HOST = ("host_resources",)
_LINUX = ("host_resources", "ucd")


@dataclass(frozen=True, slots=True)
class Sign:
    """A pattern of sysDescr: the type that it gives away, "" for none, and the model as its group `model`."""

    type: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Product:
    """Devices whose sysObjectID starts so. Where neither signs nor `type` say what it is, its abilities do.

    `modules` are those beside the ones that all devices of its type have.
    """

    oid: bytes
    vendor: str
    type: str
    modules: tuple[str, ...]
    signs: tuple[Sign, ...]


def _product(
    enterprise: str, vendor: str, kind: str = "", modules: tuple[str, ...] = (), *signs: tuple[str, str]
) -> Product:
    patterns = tuple(Sign(one, re.compile(pattern, re.IGNORECASE)) for one, pattern in signs)
    return Product(parse_oid(f"1.3.6.1.4.1.{enterprise}"), vendor, kind, modules, patterns)


_CISCO = (
    ("firewall", r"Adaptive Security Appliance|Firepower"),
    ("access-point", r"K9W[78]|Cisco AP Software"),
    ("wireless-controller", r"Cisco Controller|(?P<model>C9800\w*) Software"),
    ("switch", r"NX-OS\(tm\) (?:Nexus\d+ )?(?P<model>[\w-]+)"),
    ("switch", r"(?P<model>Catalyst \d\w*)|L3 Switch|Catalyst"),
    ("switch", r", (?P<model>(?:C29(?:18|28|40|50|55|60|70|75)|C3(?:550|560|650|750|850)|C1000)\w*) Software"),
    ("switch", r", (?P<model>(?:IE\d|ME\d|CGS\d|s\d)\w*) Software"),
    ("router", r"IOS XR Software \(Cisco (?P<model>[\w-]+)"),
    ("router", r", (?P<model>(?:ISR|ASR|CSR|Virtual XE|C?[1-8]\d\d)\w*) Software"),
)
_JUNIPER = (
    ("firewall", r"Inc\. (?P<model>v?srx[\w-]*)"),
    ("switch", r"Inc\. (?P<model>(?:ex|qfx)[\w-]*)"),
    ("router", r"Inc\. (?P<model>[\w-]+)"),
)
_HUAWEI = (
    ("firewall", r"(?P<model>(?:USG|Eudemon)[\w-]+)"),
    ("router", r"\b(?P<model>(?:AR|NE)\d[\w-]*)"),
    ("access-point", r"\b(?P<model>AP\d[\w-]*)"),
    ("switch", r"\b(?P<model>(?:S|CE)\d{2,}[\w-]*)"),
)
_H3C = (
    ("firewall", r"(?P<model>SecPath [\w-]+)"),
    ("router", r"(?P<model>\b(?:MSR|SR|CR)\d[\w-]*)"),
    ("switch", r"(?:H3C|HPE?) (?:FlexFabric |Switch )?(?P<model>[\w-]*\d[\w-]*)"),
)
_PROCURVE = (("", r"\bJ[LG]?\w{4,5} (?:ProCurve |Switch )*(?P<model>[\w-]+)"),)
_UBIQUITI = (
    ("router", r"EdgeOS|\b(?P<model>(?:ER|UDM|USG|UXG)-[\w-]+)"),
    ("switch", r"EdgeSwitch|\b(?P<model>(?:USW|US|ES)-[\w-]+)"),
    ("", r"^(?P<model>U\w+-[\w-]+)"),
)
_NET_SNMP = (
    ("firewall", r"pfSense|OPNsense"),
    ("router", r"VyOS|Vyatta|EdgeOS|OpenWrt"),
    ("storage", r"synology|QNAP|TrueNAS|FreeNAS"),
)

_ARUBA = (("access-point", r"MODEL: (?P<model>\d{3}\w*)\)"), ("", r"MODEL: (?:Aruba)?(?P<model>[\w-]+)"))
_MIKROTIK = (("switch", r"(?P<model>C[RS]S[\w+-]+)"), ("", r"RouterOS (?P<model>[\w+-]+)"))

PRODUCTS = (
    _product("9", "Cisco", "", ("cisco",), *_CISCO),
    _product("9.6.1", "Cisco", "switch", (), ("", r"^(?P<model>(?:S[FGX]|CBS)[\w-]+)")),
    _product("11", "HP"),
    _product("11.2.3.7.11", "HP", "switch", ("procurve",), *_PROCURVE),
    _product("11.2.3.7.8.5", "HP", "switch", ("procurve",), *_PROCURVE),
    _product("11.2.3.9", "HP", "printer"),
    _product("171", "D-Link", "switch", (), ("", r"^(?P<model>D[EGX]S-[\w-]+)")),
    _product("207", "Allied Telesis", "switch", (), ("", r"(?P<model>(?:AT-)?x?\d\w+-[\w/-]+)")),
    _product("232", "HPE", "server", (), ("", r"(?P<model>Integrated Lights-Out \d)")),
    _product("253", "Xerox", "printer", (), ("", r"Xerox[^ ]* (?P<model>[^;,]+)")),
    _product("311", "Microsoft", "server", _HOST, ("", r"Software: (?P<model>Windows Version [\d.]+)")),
    _product("318", "APC", "ups", (), ("pdu", r"rpdu.*MN:(?P<model>[\w-]+)"), ("", r"MN:\s*(?P<model>[\w-]+)")),
    _product("367", "Ricoh", "printer", (), ("", r"^(?:RICOH|NRG|Lanier|Savin) (?P<model>.+?) \d+\.\d+")),
    _product("476", "Vertiv", "ups"),
    _product("534", "Eaton", "ups", (), ("", r"^(?:Eaton )?(?P<model>\d\w+ \d+\w*)")),
    _product("641", "Lexmark", "printer", (), ("", r"^Lexmark (?P<model>\w+)")),
    _product("674", "Dell", "switch", (), ("", r"(?P<model>PowerConnect \w+|\b[NSZ]\d{3,}[\w-]*)")),
    _product("674.10892", "Dell", "server"),
    _product("705", "Eaton", "ups"),
    _product("890", "Zyxel", "switch"),
    _product("1347", "Kyocera", "printer"),
    _product("1602", "Canon", "printer", (), ("", r"^Canon (?P<model>[\w-]+(?: [\w-]+)?)")),
    _product("1916", "Extreme", "switch", (), ("", r"ExtremeXOS \((?P<model>[\w-]+)\)")),
    _product("1991", "Ruckus", "switch", (), ("", r"Inc\. (?:Stacking System )?(?P<model>[\w-]*\d[\w-]*)")),
    _product("2011", "Huawei", "switch", ("huawei",), *_HUAWEI),
    _product("2435", "Brother", "printer", (), ("", r"^Brother (?P<model>[\w-]+)")),
    _product("2620", "Check Point", "firewall", ("host_resources", "checkpoint")),
    _product("2636", "Juniper", "router", ("juniper",), *_JUNIPER),
    _product("3375", "F5", "load-balancer", _LINUX),
    _product("4526", "Netgear", "switch", (), ("", r"^(?P<model>[A-Z]+\d\w*)")),
    _product("6486", "Alcatel-Lucent", "switch", (), ("", r"(?P<model>OS\d{4}[\w-]*)")),
    _product("6527", "Nokia", "router", (), ("", r"(?:Nokia|ALCATEL) (?P<model>\d{4} \S+)")),
    _product("6574", "Synology", "storage", _LINUX),
    _product("6876", "VMware", "server", _HOST, ("", r"^VMware (?P<model>ESXi? [\d.]+)")),
    _product("8072", "net-snmp", "server", _LINUX, *_NET_SNMP),
    _product("8072.3.2.10", "Linux", "server", _LINUX, *_NET_SNMP),
    _product("10002", "Ubiquiti", "access-point", (), *_UBIQUITI),
    _product("11863", "TP-Link", "switch"),
    _product("12356", "Fortinet", "firewall", ("fortinet",)),
    _product("12356.106", "Fortinet", "switch", (), ("", r"(?P<model>FortiSwitch-\w+)")),
    _product("14823", "Aruba", "wireless-controller", (), *_ARUBA),
    _product("14988", "MikroTik", "router", ("host_resources", "mikrotik"), *_MIKROTIK),
    _product("18334", "Konica Minolta", "printer", (), ("", r"^KONICA MINOLTA (?P<model>\w+(?: \w+)?)")),
    _product("24681", "QNAP", "storage", _LINUX),
    _product("25461", "Palo Alto Networks", "firewall", _HOST, ("", r"Networks (?P<model>\S+(?: series)?)")),
    _product("25506", "H3C", "switch", ("h3c",), *_H3C),
    _product("30065", "Arista", "switch", _HOST, ("", r"Networks (?P<model>[DC]CS-[\w-]+)")),
    _product("41112", "Ubiquiti", "access-point", (), *_UBIQUITI),
    _product("47196", "Aruba", "switch", (), ("", r"^Aruba \w+ (?P<model>[\w-]+)")),
)
