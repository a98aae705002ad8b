# SPDX-License-Identifier: Apache-2.0
"""Units made of parts, each of which is a module of its own in Verilog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.hdl import Instance, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import UnitConfig

__all__ = ["Assembly", "ports_of", "registered"]


def ports_of(config: UnitConfig) -> dict[str, Any]:
    """The members of a unit's signature: the clock, and the ports of its configuration."""
    members: dict[str, Any] = {"clk": In(1)}
    for port in config.ports:
        members[port.name] = Out(port.width, init=port.initial) if port.output else In(port.width)
    return members


class Assembly(wiring.Component):
    """A component made of parts.

    Parameters
    ----------
    ports
        The members of its signature.
    parts
        None: everything is part of the component, for simulation in Amaranth and for embedding in an Amaranth design. For
        Verilog: prefix of the names of the parts' modules; the top then instantiates these, and leaves the parts themselves,
        one of each, in the attribute `parts` when it is elaborated.
    """

    def __init__(self, ports: Mapping[str, Any], parts: str | None) -> None:
        self._prefix = parts
        self.parts: dict[str, wiring.Component] = {}
        super().__init__(dict(ports))

    @property
    def for_verilog(self) -> bool:
        """Whether parts are modules of their own."""
        return self._prefix is not None

    def name_of(self, part: str) -> str | None:
        """Name of a part's module in Verilog; for a part that is an assembly, the prefix of its own parts."""
        return None if self._prefix is None else f"{self._prefix}_{part}"

    def place(
        self, m: Module, part: str, name: str, create: Callable[[], wiring.Component], inputs: Mapping[str, Value]
    ) -> list[Signal]:
        """Add a part called `name`: an instance of its Verilog module, or a new component. Gives its outputs."""
        if self._prefix is None or part not in self.parts:
            self.parts[part] = create()
        component = self.parts[part]
        outputs = {
            port: Signal(member.shape, name=f"{name}_{port}")
            for port, member in component.signature.members.items()
            if member.flow is Out
        }
        if self._prefix is None:
            m.submodules[name] = component
            m.d.comb += [getattr(component, port).eq(value) for port, value in inputs.items()]
            m.d.comb += [signal.eq(getattr(component, port)) for port, signal in outputs.items()]
        else:
            sides = {f"i_{port}": value for port, value in inputs.items()} | {f"o_{port}": s for port, s in outputs.items()}
            m.submodules[name] = Instance(self.name_of(part), **sides)
        return list(outputs.values())


def registered(m: Module, **values: Value) -> list[Signal]:
    """A register behind each of `values`, `NAME_1`; it begins with what a signal begins with."""
    registers = [Signal(len(value), name=f"{name}_1", init=getattr(value, "init", 0)) for name, value in values.items()]
    m.d.sync += [register.eq(value) for register, value in zip(registers, values.values(), strict=True)]
    return registers
