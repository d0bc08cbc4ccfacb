"""`snmp.interfaces`: the modules that ask for interfaces ask for those alone that somebody wants.

What nobody looks at is then not even asked for: it costs neither the device, nor the network, nor the database.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.config_snmp import ADMIN_STATUS, Interfaces
from exporter.fields import did_you_mean
from exporter.snmp.ber import parse_oid
from exporter.snmp.modules import Condition, Filter, Module

#: ifEntry and ifXEntry, whose rows are the interfaces (RFC 2863).
_ENTRIES = (parse_oid("1.3.6.1.2.1.2.2.1"), parse_oid("1.3.6.1.2.1.31.1.1.1"))
_TYPE, _ADMIN_STATUS = parse_oid("1.3.6.1.2.1.2.2.1.3"), parse_oid("1.3.6.1.2.1.2.2.1.7")
_NAME, _ALIAS = parse_oid("1.3.6.1.2.1.31.1.1.1.1"), parse_oid("1.3.6.1.2.1.31.1.1.1.18")


def filtered(modules: Mapping[str, Module], wanted: Interfaces, types: Mapping[int, str]) -> dict[str, Module]:
    """The modules with the filter added to those that ask for interfaces; their own filters stand above it.

    `types` are the numbers and names of the IANAifType.
    """
    numbers = [str(number) for number, name in types.items() if name in wanted.types]
    conditions = [
        Condition(_ADMIN_STATUS, _exactly(str(ADMIN_STATUS[status]) for status in wanted.admin_status)),
        Condition(_TYPE, _exactly(numbers)),
        Condition(_NAME, wanted.names),
        Condition(_ALIAS, wanted.aliases),
    ]
    given = tuple(condition for condition in conditions if condition.values)
    if not given:
        return dict(modules)
    one = Filter(_ENTRIES, given)
    return {
        name: replace(module, filters=(one, *module.filters))
        if any(column.startswith(_ENTRIES) for column in module.columns)
        else module
        for name, module in modules.items()
    }


def unknown_types(wanted: Interfaces, types: Mapping[int, str]) -> list[str]:
    """What is wrong with the names of types; empty if nothing is."""
    known = set(types.values())
    return [
        f"there is no interface type {name!r}; {did_you_mean(name, known) or 'see ifType in IANAifType-MIB'}"
        for name in wanted.types
        if name not in known
    ]


def _exactly(texts: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(f"^{re.escape(text)}$") for text in texts)
