# SPDX-License-Identifier: Apache-2.0
"""OpenSTA: critical path and delays (SDF) of a mapped netlist; and its power, where OpenSTA is new enough to read waveforms.

The same assumptions everywhere: one ideal clock, operands arrive with its edge, every port and the clock have the same input
transition, no wire loads, no load at the outputs. The critical path ends at a flip-flop, its setup time included, so that it is
the shortest period at which the netlist works.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from golden.errors import ToolError
from sim.processes import run

__all__ = [
    "CLOCK",
    "TIMEOUT_S",
    "Timing",
    "analyze",
    "power",
    "reads_vcd",
    "require_vcd",
    "setup_slack_ns",
    "version",
    "write_sdf",
]

CLOCK = "clk"
TIMEOUT_S = 120.0
_HINT = "install the apt package opensta"
_PERIOD_NS = 1000.0  # for delays that don't depend on the period


@dataclass(frozen=True)
class Timing:
    """What OpenSTA found on the slowest path between flip-flops, or from a port to a flip-flop."""

    delay_ns: float  # arrival + setup: the shortest period
    startpoint: str
    endpoint: str


@lru_cache(maxsize=1)
def version() -> str:
    """Version of OpenSTA. `ToolError` if it is missing."""
    return _sta(["-version"], 20).strip().split()[0]


def available() -> bool:
    """Whether there is an `sta` on the path."""
    return shutil.which("sta") is not None


@lru_cache(maxsize=1)
def reads_vcd() -> bool:
    """Whether OpenSTA can take activity from waveforms: it has `read_vcd` (since 2024; Debian's 2.0.17 has not)."""
    return re.search(r"^dint: read_vcd$", _run(['puts "dint: [info commands read_vcd]"']), re.MULTILINE) is not None


def require_vcd() -> None:
    """Raise ToolError if OpenSTA cannot take activity from waveforms."""
    if not reads_vcd():
        raise ToolError(
            f"OpenSTA: version {version()} has no read_vcd, so that it cannot work out power from recorded activity; "
            "leave out --power-engine, or put an OpenSTA of 2025 or later on the path"
        )


def analyze(netlist: Path, top: str, liberty: Sequence[Path], input_transition_ns: float) -> Timing:
    """Time the critical path of a netlist.

    Parameters
    ----------
    netlist, top
        Gate-level Verilog and its module; the clock port is `clk`.
    liberty
        Plain-text Liberty files without a default wire load (`synth.liberty_text.unpacked`).
    input_transition_ns
        Slew at every input port and at the clock.

    Raises
    ------
    ToolError
        If OpenSTA is missing, fails, does not know a cell, or finds no path.
    """
    log = _run([*_design(netlist, top, liberty, input_transition_ns, _PERIOD_NS), "report_checks -path_delay max -digits 6"])
    arrival, setup = _number(log, r"([-\d.]+)\s+data arrival time"), _number(log, r"([-\d.]+)\s+[-\d.]+\s+library setup time")
    if arrival is None or setup is None:
        raise ToolError(f"OpenSTA: no path to a flip-flop in {netlist.name}; is {CLOCK} its clock?")
    delay_ns = arrival - setup  # the setup time is printed as what it adds to the required time
    return Timing(
        delay_ns=round(delay_ns, 6),
        startpoint=_word(log, "Startpoint"),
        endpoint=_word(log, "Endpoint"),
    )


def setup_slack_ns(netlist: Path, top: str, liberty: Sequence[Path], period_ns: float, input_transition_ns: float) -> float:
    """The worst setup slack of all flip-flops at a clock period, by OpenSTA itself; other arguments as of `analyze`.

    Raises
    ------
    ToolError
        If OpenSTA is missing or fails.
    """
    log = _run([*_design(netlist, top, liberty, input_transition_ns, period_ns), "report_worst_slack -digits 6"])
    slack = _number(log, r"^worst slack (?:max )?([-\d.]+)$")
    if slack is None:
        raise ToolError(f"OpenSTA: no setup slack of {netlist.name}: {log.strip().splitlines()[0][:200]}")
    return slack


def write_sdf(netlist: Path, top: str, liberty: Sequence[Path], input_transition_ns: float, out: Path) -> None:
    """Write the delays of every cell as SDF, as OpenSTA writes it but without date and file names.

    Values are `(min::max)`: simulators that read the typical value find none (see `sim` for the form that Icarus takes).
    """
    with tempfile.TemporaryDirectory(prefix="dint-sta-") as name:
        raw = Path(name) / "raw.sdf"
        _run([*_design(netlist, top, liberty, input_transition_ns, _PERIOD_NS), f"write_sdf -digits 6 {{{raw}}}"])
        if not raw.is_file() or raw.stat().st_size == 0:
            raise ToolError(f"OpenSTA: wrote no SDF for {netlist.name}")
        text = re.sub(r"^ \(DATE .*\)\n", "", raw.read_text(), flags=re.MULTILINE)
    out.write_text(text)


def power(
    netlist: Path, top: str, liberty: Sequence[Path], period_ns: float, input_transition_ns: float, vcd: Path, scope: str
) -> tuple[dict[str, tuple[float, float, float]], float]:
    """Internal, switching and leakage power of every instance, in W, and the share of pins that have activity.

    Parameters
    ----------
    vcd, scope
        Waveforms of every level of the netlist, and the scope in them that is the netlist, its levels separated by `/`. They
        count up to the end of the recording (`$dumpoff`).

    Raises
    ------
    ToolError
        If OpenSTA is missing, cannot read waveforms, fails, or leaves an instance without a figure.
    """
    require_vcd()
    with tempfile.TemporaryDirectory(prefix="dint-sta-") as name:
        recorded = Path(name) / "recorded.vcd"
        with vcd.open() as source, recorded.open("w") as target:
            # What follows names every net once more, as unknown: half a transition each to OpenSTA.
            target.writelines(takewhile(lambda line: not line.startswith("$dumpoff"), source))
        log = _run(
            [
                *_design(netlist, top, liberty, input_transition_ns, period_ns),
                f"read_vcd -scope {scope} {{{recorded}}}",
                "report_activity_annotation",
                "report_power -instances [get_cells *] -digits 8",
            ]
        )
    annotated, missing = _number(log, r"^vcd\s+(\d+)$"), _number(log, r"^unannotated\s+(\d+)$")
    rows = re.findall(r"^\s*(\S+e[-+]\d+) +(\S+e[-+]\d+) +(\S+e[-+]\d+) +\S+ (\S+)$", log, re.MULTILINE)
    if not annotated or missing is None or not rows or "NaN" in log:
        raise ToolError(
            f"OpenSTA: no power of {netlist.name} from the waveforms in {scope}: {log.strip().splitlines()[-2][:200]}"
        )
    return {row[3]: (float(row[0]), float(row[1]), float(row[2])) for row in rows}, annotated / (annotated + missing)


def _design(netlist: Path, top: str, liberty: Sequence[Path], input_transition_ns: float, period_ns: float) -> list[str]:
    """Commands up to a constrained design. The times that OpenSTA reads and prints are set to ns."""
    return [
        *(f"read_liberty {{{path.resolve()}}}" for path in liberty),
        "set_cmd_units -time ns",
        f"read_verilog {{{netlist.resolve()}}}",
        f"link_design {top}",
        f"create_clock -name {CLOCK} -period {period_ns:.6f} [get_ports {CLOCK}]",
        f"set_clock_transition {input_transition_ns:.6f} [get_clocks {CLOCK}]",
        f"set_input_transition {input_transition_ns:.6f} [all_inputs]",
        f'foreach port [all_inputs] {{ if {{[get_name $port] != "{CLOCK}"}} {{ set_input_delay 0 -clock {CLOCK} $port }} }}',
    ]


def _run(commands: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="dint-sta-") as name:
        script = Path(name) / "run.tcl"
        # OpenSTA prints some errors and goes on; Tcl errors end the script, and the last line shows that it was reached.
        script.write_text("\n".join([*commands, 'puts "dint: done"', "exit"]) + "\n")
        log = _sta(["-no_splash", "-exit", str(script)], TIMEOUT_S, Path(name))
    problems = [line.strip() for line in log.splitlines() if re.match(r"\s*Error:|.*(module|cell) \S+ not found", line)]
    if problems or "dint: done" not in log:
        raise ToolError(f"OpenSTA: {(problems[:1] or log.strip().splitlines() or ['it printed nothing'])[-1][:300]}")
    return log


def _sta(arguments: list[str], time_limit_s: float, cwd: Path | None = None) -> str:
    return run(
        ["sta", *arguments],
        tool="OpenSTA",
        install=_HINT,
        time_limit_s=time_limit_s,
        if_too_long="the design may be too large for this limit",
        cwd=cwd,
    )


def _number(log: str, pattern: str) -> float | None:
    found = re.search(pattern, log, re.MULTILINE)
    return float(found.group(1)) if found else None


def _word(log: str, label: str) -> str:
    found = re.search(rf"^{label}:\s*(\S+)", log, re.MULTILINE)
    return found.group(1) if found else ""
