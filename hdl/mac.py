"""The multiply-accumulate unit of a `golden.MacConfig` as an Amaranth component.

    weights, activations ─► partial products of each lane ─┐
                                                           ├─► compressor ═► final adder ─► accumulator ─┐
                              ┌─► unless a new sum starts ─┘     (two rows)                              │
                              └──────────────────────────────────────────────────────────────────────────┘

The accumulator is one more row of the compressor, so that only one addition in the loop propagates a carry. Reset and the start
of a new sum share the gates that clear this row. A cycle without `valid`, or in reset, adds nothing, in one of two ways: its
weights are replaced by zeros (a gate per weight bit), or the sum is not stored (a multiplexer per accumulator bit). The second
costs more where lanes are few, and less time where they are many, since `valid` then drives few gates, and late ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from amaranth.hdl import C, Cat, ClockDomain, Instance, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from golden import MacConfig

from .architectures import architecture_of
from .compressor import Compressor
from .final_adder import FinalAdder, Summation
from .lane import PartialProducts, Product

__all__ = ["PARTS", "Mac"]

PARTS = ("partial_products", "compressor", "final_adder")

# What a multiplexer costs, in gates per weight bit: the two ways break even between 2.3 and 4 on the libraries measured. Where
# speed counts, the gates in front of the weights must be few, so that `valid` reaches them soon.
_MULTIPLEXER, _MULTIPLEXER_FAST = 2.5, 0.5

# When the accumulator is there, in gate delays: clock to output, and the gate that clears it. Operands at the ports are there
# at once, registered ones as late as the accumulator.
_REGISTER, _CLEAR = 4, 2


class Mac(wiring.Component):
    """A MAC unit; the ports are the same for all formats, architectures and lane counts.

    Ports
    -----
    clk : in, 1
        Rising edge.
    rst : in, 1
        Synchronous, active high: clears the sum.
    valid : in, 1
        This cycle's operands take part; otherwise the sum holds.
    first : in, 1
        With `valid`: a new sum starts with these operands.
    activations : in, activation bits x lanes
        Lane i at bits 8i+7..8i, two's complement.
    weights : in, b x lanes
        Lane i's code at bits b i + b - 1..b i.
    accumulator : out, `config.accumulator_bits`
        Two's complement, in units of the format, after the `config.latency_cycles`-th rising edge, the edge that takes the
        operands being the first. With pipeline registers every input is registered, `rst` as well.

    Parameters
    ----------
    config
        What to build.
    parts
        None: everything is part of the component, for simulation in Amaranth and for embedding in an Amaranth design. For
        Verilog: name of the module of each part; the top then instantiates these, and leaves the parts themselves, one
        of each, in the attribute `parts` when it is elaborated.

    Raises
    ------
    InputError
        If the architecture does not exist or cannot do the format.
    """

    def __init__(self, config: MacConfig, *, parts: Mapping[str, str] | None = None) -> None:
        self.config = config
        architecture = architecture_of(config)
        self._build = architecture.partial_products
        self._for_speed = architecture.for_speed
        self._modules = parts
        self.parts: dict[str, wiring.Component] = {}
        super().__init__(
            {
                "clk": In(1),
                "rst": In(1),
                "valid": In(1),
                "first": In(1),
                "activations": In(config.activation_bits * config.lanes),
                "weights": In(config.weight_format.bits * config.lanes),
                "accumulator": Out(config.accumulator_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: ARG002
        m = Module()
        m.domains.sync = domain = ClockDomain(reset_less=True, local=True)
        domain.clk = self.clk

        rst, valid, first, activations, weights = self._registered(
            m, self.rst, self.valid, self.first, self.activations, self.weights
        )
        take, keep = Signal(name="take"), Signal(name="keep")
        m.d.comb += [take.eq(valid & ~rst), keep.eq(~(rst | (valid & first)))]
        kept = Signal.like(self.accumulator, name="kept")
        m.d.comb += kept.eq(self.accumulator & keep.replicate(len(kept)))

        if self._gates_weights:
            taken = Signal.like(weights, name="taken")
            zeros = C(self.config.weight_format.zero_code, self.config.weight_format.bits).replicate(self.config.lanes)
            m.d.comb += taken.eq(Mux(take, weights, zeros))
            m.d.sync += self.accumulator.eq(self._sum(m, taken, activations, kept))
        else:
            m.d.sync += self.accumulator.eq(Mux(take, self._sum(m, weights, activations, kept), kept))
        return m

    @property
    def _gates_weights(self) -> bool:
        return len(self.weights) <= (_MULTIPLEXER_FAST if self._for_speed else _MULTIPLEXER) * len(self.accumulator)

    def _registered(self, m: Module, *inputs: Signal) -> list[Signal]:
        stage = list(inputs)
        for index in range(self.config.pipeline):
            following = [
                Signal.like(signal, name=f"{port.name}_{index + 1}") for signal, port in zip(stage, inputs, strict=True)
            ]
            m.d.sync += [register.eq(signal) for register, signal in zip(following, stage, strict=True)]
            stage = following
        return stage

    def _sum(self, m: Module, weights: Value, activations: Value, kept: Value) -> Value:
        """`kept` plus the products."""
        config, width = self.config, self.config.accumulator_bits

        def lane() -> wiring.Component:
            return Product(config) if self._build is None else PartialProducts(config, self._build)

        lanes = []
        for i in range(config.lanes):
            operands = {
                "weight": weights.word_select(i, config.weight_format.bits),
                "activation": activations.word_select(i, config.activation_bits),
            }
            lanes += self._place(m, "partial_products", f"lane_{i}", lane, operands)
        sample = self.parts["partial_products"]
        if not isinstance(sample, PartialProducts):
            inputs = {"start": kept, "products": Cat(*lanes)}
            (total,) = self._place(
                m, "final_adder", "final_adder", lambda: Summation(width, config.lanes, len(lanes[0])), inputs
            )
            return total

        def compressor() -> wiring.Component:
            columns = (*range(width), *sample.columns * config.lanes)
            accumulator = _CLEAR + (0 if config.pipeline else _REGISTER)
            arrivals = (*[accumulator] * width, *sample.arrivals * config.lanes)
            constant, cells = sample.constant * config.lanes, self._modules is not None
            return Compressor(width, columns, arrivals, constant, borrow=not self._for_speed, cells=cells)

        row_0, row_1 = self._place(m, "compressor", "compressor", compressor, {"bits": Cat(kept, *lanes)})
        inputs = {"row_0": row_0, "row_1": row_1}
        (total,) = self._place(m, "final_adder", "final_adder", lambda: FinalAdder(width), inputs)
        return total

    def _place(
        self, m: Module, part: str, name: str, create: Callable[[], wiring.Component], inputs: Mapping[str, Value]
    ) -> list[Signal]:
        """Add a part called `name`: an instance of its Verilog module, or a new component. Gives its outputs."""
        if self._modules is None or part not in self.parts:
            self.parts[part] = create()
        component = self.parts[part]
        outputs = {
            port: Signal(member.shape, name=f"{name}_{port}")
            for port, member in component.signature.members.items()
            if member.flow is Out
        }
        if self._modules is None:
            m.submodules[name] = component
            m.d.comb += [getattr(component, port).eq(value) for port, value in inputs.items()]
            m.d.comb += [signal.eq(getattr(component, port)) for port, signal in outputs.items()]
        else:
            sides = {f"i_{port}": value for port, value in inputs.items()} | {f"o_{port}": s for port, s in outputs.items()}
            m.submodules[name] = Instance(self._modules[part], **sides)
        return list(outputs.values())
