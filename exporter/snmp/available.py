"""The modules that there are: the shipped ones and the user's own, for the devices of an inventory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from exporter.config import Settings
from exporter.errors import ConfigError, Problem
from exporter.inventory.device import Device
from exporter.snmp.interfaces import filtered, unknown_types
from exporter.snmp.modules import Module, load_modules, shipped


def modules_of(settings: Settings, devices: Sequence[Device]) -> Mapping[str, Module]:
    """The shipped modules and the user's own, where any device is polled; raises ConfigError with all problems."""
    wanted = settings.snmp.interfaces
    own = shipped() if wanted.types or any(device.snmp for device in devices) else {}
    types = {number: name for module in own.values() for number, name in _interface_types(module)}
    found = dict(own)
    problems = [
        Problem(str(settings.path), None, "snmp.interfaces.types", message)
        for message in unknown_types(wanted, types)
    ]
    for position, path in enumerate(settings.snmp.modules):
        try:
            found |= load_modules(path).modules
        except ConfigError as error:
            problems += [_placed(problem, settings, position) for problem in error.problems]
    for device in devices if not problems else ():
        for name in device.snmp.modules if device.snmp else ():
            if name not in found:
                message = (
                    f"the device {device.name} asks for the module {name!r}; there are {', '.join(sorted(found))}"
                )
                problems.append(Problem(str(settings.path), None, "snmp.modules", message))
    if problems:
        raise ConfigError(problems)
    return filtered(found, wanted, types)


def _placed(problem: Problem, settings: Settings, position: int) -> Problem:
    """With what is wrong about a file as a whole, where the configuration names it."""
    if problem.line is not None or problem.path:
        return problem
    message = f"{problem.file} {problem.message}"
    return Problem(str(settings.path), None, f"snmp.modules[{position}]", message)


def _interface_types(module: Module) -> Iterator[tuple[int, str]]:
    """Numbers and names of the IANAifType, if this is the module that has them."""
    for metric in module.metrics:
        if metric.name == "ifType":
            yield from metric.enum_values.items()
