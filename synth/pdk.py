# SPDX-License-Identifier: Apache-2.0
"""Process design kits: what is known about each library, as data, and where its Liberty files are found.

Nothing is bundled. A kit is looked for in the files that the user names, in `$PDK_ROOT` (the layout of ciel and open_pdks), in
a folder of platforms in the layout of OpenROAD-flow-scripts, and where Debian's qflow packages put it. Units, voltage and areas
are read from the Liberty files themselves. To add a kit, add an entry to `TECHNOLOGIES`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from golden.artifacts import sha256_file
from golden.errors import InputError, unknown

from . import liberty_text

__all__ = ["DEFAULT_PDK", "TECHNOLOGIES", "FlipFlop", "FullAdder", "Pdk", "Technology", "discover", "find"]

DEFAULT_PDK = "osu018"
QFLOW = Path("/usr/share/qflow/tech")


@dataclass(frozen=True)
class FullAdder:
    """A library's full-adder cell: names of the cell and its pins.

    `inverted`: both outputs are complements (ASAP7). A full adder is self-dual, so the same cell with complemented inputs
    gives true outputs, and `synth.polarity` decides where inverters are needed.
    """

    cell: str
    a: str
    b: str
    c: str
    sum: str
    carry: str
    inverted: bool = False


@dataclass(frozen=True)
class FlipFlop:
    """A library's smallest rising-edge flip-flop without reset. `inverted`: the output pin is the complement of the state."""

    cell: str
    clock: str
    data: str
    output: str
    inverted: bool = False


@dataclass(frozen=True)
class Pdk:
    """A kit that was found: its description and its Liberty files."""

    name: str
    title: str
    liberty: tuple[Path, ...]
    corner: str  # process, temperature and voltage of the Liberty files
    input_transition_ns: float  # slew at every input port and at the clock, 0 to 100 % as the library counts
    full_adder: FullAdder | None = None
    flip_flop: FlipFlop | None = None  # None: Yosys chooses one (dfflibmap)
    tie_high: tuple[str, str] | None = None  # cell and pin; None: constants stay in the netlist
    tie_low: tuple[str, str] | None = None
    dont_use: tuple[str, ...] = ()  # cell names, with * and ?
    origin: str = ""  # how it was found
    notes: str = ""

    @cached_property
    def liberty_sha256(self) -> tuple[str, ...]:
        """SHA-256 of each Liberty file, as it lies on disk."""
        return tuple(sha256_file(path) for path in self.liberty)

    def describe(self) -> dict[str, Any]:
        """What decides results, as plain data without paths."""
        return {
            "name": self.name,
            "corner": self.corner,
            "input_transition_ns": self.input_transition_ns,
            "full_adder": vars(self.full_adder) if self.full_adder else None,
            "flip_flop": vars(self.flip_flop) if self.flip_flop else None,
            "tie_cells": [self.tie_high, self.tie_low],
            "dont_use": list(self.dont_use),
            "liberty_sha256": list(self.liberty_sha256),
        }


@dataclass(frozen=True)
class Technology:
    """What is known about a library before it is found. The patterns are globs below the folder of each layout."""

    name: str
    title: str
    corner: str
    input_transition_ns: float
    platforms: tuple[str, ...] = ()  # below <platforms>/<name>/
    pdk_root: tuple[str, ...] = ()  # below $PDK_ROOT; the first that matches counts
    library: str = ""  # what the Liberty files' own names begin with
    qflow: str = ""  # below Debian's /usr/share/qflow/tech/
    get: str = ""  # how to get it
    description: Mapping[str, Any] = field(default_factory=dict)  # the remaining fields of `Pdk`

    def at(self, files: Sequence[Path], origin: str) -> Pdk:
        """The kit made of these Liberty files."""
        return Pdk(
            name=self.name,
            title=self.title,
            liberty=tuple(files),
            corner=self.corner,
            input_transition_ns=self.input_transition_ns,
            origin=origin,
            **self.description,
        )


def _osu(name: str, size: str, library: str, corner: str, input_transition_ns: float) -> Technology:
    return Technology(
        name=name,
        title=f"Oklahoma State University, {size} um",
        corner=corner,
        input_transition_ns=input_transition_ns,
        library=f"{library}_stdcells",
        qflow=f"{name}/{library}_stdcells.lib",
        get=f"apt install qflow-tech-{name}",
        description={
            "full_adder": FullAdder("FAX1", "A", "B", "C", "YS", "YC"),
            "flip_flop": FlipFlop("DFFPOSX1", "CLK", "D", "Q"),
            "dont_use": ("PAD*", "TBUF*", "CLKBUF*"),
            "notes": "no tie cells: constants stay in the netlist",
        },
    )


TECHNOLOGIES: tuple[Technology, ...] = (
    _osu("osu018", "0.18", "osu018", "typical, 1.8 V, 25 C", 0.1),
    _osu("osu035", "0.35", "osu035", "typical, 3.3 V, 25 C", 0.1),
    _osu("osu050", "0.5", "osu05", "typical, 5 V, 25 C", 0.1),
    Technology(
        name="sky130hd",
        library="sky130_fd_sc_hd__",
        title="SkyWater 130 nm, high density",
        corner="typical, 1.8 V, 25 C",
        input_transition_ns=0.05,
        platforms=("lib/sky130_fd_sc_hd__tt_025C_1v80.lib*",),
        pdk_root=(
            "sky130A/libs.ref/sky130_fd_sc_hd/lib/sky130_fd_sc_hd__tt_025C_1v80.lib*",
            "sky130B/libs.ref/sky130_fd_sc_hd/lib/sky130_fd_sc_hd__tt_025C_1v80.lib*",
        ),
        get="pip install ciel; ciel enable --pdk sky130 (sets up $PDK_ROOT), or --platforms DIR",
        description={
            "full_adder": FullAdder("sky130_fd_sc_hd__fa_1", "A", "B", "CIN", "SUM", "COUT"),
            "flip_flop": FlipFlop("sky130_fd_sc_hd__dfxtp_1", "CLK", "D", "Q"),
            "tie_high": ("sky130_fd_sc_hd__conb_1", "HI"),
            "tie_low": ("sky130_fd_sc_hd__conb_1", "LO"),
            "dont_use": ("sky130_fd_sc_hd__probe*", "sky130_fd_sc_hd__lpflow_*", "sky130_fd_sc_hd__macro_*"),
        },
    ),
    Technology(
        name="asap7",
        library="asap7sc7p5t_",
        title="ASAP7 7 nm predictive, 7.5 track, RVT",
        corner="typical, 0.7 V, 25 C",
        input_transition_ns=0.02,
        platforms=("lib/NLDM/asap7sc7p5t_*_RVT_TT_nldm_*.lib*",),
        get="clone OpenROAD-flow-scripts and set $FLOW_HOME to its flow folder, or --platforms DIR",
        description={
            "full_adder": FullAdder("FAx1_ASAP7_75t_R", "A", "B", "CI", "SN", "CON", inverted=True),
            "flip_flop": FlipFlop("DFFHQNx1_ASAP7_75t_R", "CLK", "D", "QN", inverted=True),
            "tie_high": ("TIEHIx1_ASAP7_75t_R", "H"),
            "tie_low": ("TIELOx1_ASAP7_75t_R", "L"),
        },
    ),
    Technology(
        name="nangate45",
        library="NangateOpenCellLibrary",
        title="Nangate 45 nm open cell library",
        corner="typical, 1.1 V, 25 C",
        input_transition_ns=0.05,
        platforms=("lib/NangateOpenCellLibrary_typical.lib*",),
        get="clone OpenROAD-flow-scripts and set $FLOW_HOME to its flow folder, or --platforms DIR",
        description={
            "full_adder": FullAdder("FA_X1", "A", "B", "CI", "S", "CO"),
            "flip_flop": FlipFlop("DFF_X1", "CK", "D", "Q"),
            "tie_high": ("LOGIC1_X1", "Z"),
            "tie_low": ("LOGIC0_X1", "Z"),
            "dont_use": ("TAPCELL*", "FILL*", "TBUF*", "TINV*"),
        },
    ),
)


def discover(platforms: Path | None = None, environ: Mapping[str, str] | None = None, qflow: Path = QFLOW) -> list[Pdk]:
    """Every kit of `TECHNOLOGIES` that is on this machine, in the catalogue's order.

    A folder of platforms given explicitly wins over `$FLOW_HOME/platforms`, that over `$PDK_ROOT`, that over `qflow`.

    Raises
    ------
    InputError
        If the folder given explicitly is not there, or holds no kit of the catalogue.
    """
    environ = os.environ if environ is None else environ
    if platforms is not None and not platforms.is_dir():
        raise InputError(
            f"--platforms {platforms}: no such folder; it holds one folder per platform, as asap7/lib/NLDM/*.lib.gz"
        )
    located = (_locate(technology, platforms, environ, qflow) for technology in TECHNOLOGIES)
    found = [pdk for pdk in located if pdk is not None]
    if platforms is not None and not any(pdk.origin == "--platforms" for pdk in found):
        known = ", ".join(technology.name for technology in TECHNOLOGIES if technology.platforms)
        raise InputError(f"--platforms {platforms}: holds none of {known}; each has a folder, as asap7/lib/NLDM/*.lib.gz")
    return found


def find(
    name: str = "",
    liberty: Sequence[Path] = (),
    platforms: Path | None = None,
    environ: Mapping[str, str] | None = None,
    qflow: Path = QFLOW,
) -> Pdk:
    """The kit called `name` (the default one if empty), or the one made of the Liberty files `liberty`.

    Liberty files given by hand win over the name. They are recognized by the name of their library; those of an unknown one
    work too, without a full-adder cell and with the flip-flop that Yosys chooses.

    Raises
    ------
    InputError
        If there is no such kit, or a Liberty file is missing, unreadable or holds no cell.
    """
    if liberty:
        return _from_files(liberty)
    name = name or DEFAULT_PDK
    kits = {pdk.name: pdk for pdk in discover(platforms, environ, qflow)}
    if name in kits:
        return _checked(kits[name])
    known = {technology.name: technology for technology in TECHNOLOGIES}
    if name in known:
        raise InputError(f"pdk {name!r} is not on this machine: {known[name].get}; or name its files with --liberty")
    raise unknown(f"unknown pdk {name!r}", name, known, "other libraries by --liberty FILE")


def _locate(technology: Technology, platforms: Path | None, environ: Mapping[str, str], qflow: Path) -> Pdk | None:
    folders: list[tuple[Path, tuple[str, ...], str]] = []
    if platforms is not None:
        folders.append((platforms / technology.name, technology.platforms, "--platforms"))
    if flow_home := environ.get("FLOW_HOME"):
        folders.append((Path(flow_home) / "platforms" / technology.name, technology.platforms, "$FLOW_HOME"))
    if pdk_root := environ.get("PDK_ROOT"):
        folders.append((Path(pdk_root), technology.pdk_root, "$PDK_ROOT"))
    if technology.qflow:
        folders.append((qflow, (technology.qflow,), "qflow"))
    for folder, patterns, origin in folders:
        for pattern in patterns:
            files = sorted(path for path in folder.glob(pattern) if path.name.endswith((".lib", ".lib.gz")))
            if files:
                return technology.at(_without_twins(files), origin)
    return None


def _without_twins(files: Sequence[Path]) -> list[Path]:
    """Of `x.lib` and `x.lib.gz` side by side only the first: they are the same library."""
    plain = {path.name for path in files if path.suffix == ".lib"}
    return [path for path in files if path.suffix == ".lib" or path.name.removesuffix(".gz") not in plain]


def _from_files(liberty: Sequence[Path]) -> Pdk:
    """Recognized by the name of the library that they hold; of the corner that they state, which must be one."""
    library, corners = liberty_text.library_name(liberty[0]), {path: liberty_text.corner(path) for path in liberty}
    for path, corner in corners.items():
        if corner != corners[liberty[0]]:
            raise InputError(f"{path} is of {corner}, {liberty[0]} of {corners[liberty[0]]}: give files of one corner")
    for technology in TECHNOLOGIES:
        if library.startswith(technology.library):
            return _checked(replace(technology.at(liberty, "--liberty"), corner=corners[liberty[0]]))
    kit = Pdk(
        name=re.sub(r"[^A-Za-z0-9_]+", "_", library).lower(),
        title="library given by --liberty",
        liberty=tuple(liberty),
        corner=corners[liberty[0]],
        input_transition_ns=0.05,
        origin="--liberty",
        notes="full adders are expanded into gates; the flip-flop is the one that Yosys chooses",
    )
    return _checked(kit)


def _checked(pdk: Pdk) -> Pdk:
    """`pdk` without the cells that its files don't have: a library without some cell still works."""
    cells = set().union(*(liberty_text.cell_names(path) for path in pdk.liberty))
    changes: dict[str, Any] = {}
    for role in ("full_adder", "flip_flop"):
        described = getattr(pdk, role)
        if described is not None and described.cell not in cells:
            changes[role] = None
    for role in ("tie_high", "tie_low"):
        described = getattr(pdk, role)
        if described is not None and described[0] not in cells:
            changes[role] = None
    return replace(pdk, **changes) if changes else pdk
