# SPDX-License-Identifier: Apache-2.0
"""One design mapped by one recipe and timed: the unit of work, cached by the content of everything that decides it."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from golden import BlockMacConfig, UnitConfig
from golden.artifacts import disk_failures, read_record, record_text, sha256_file, sha256_of, write_file
from golden.errors import InputError

from . import liberty, liberty_text, sta, yosys
from .pdk import Pdk
from .recipe import Recipe

__all__ = ["DEFAULT_CACHE", "Mapped", "area_by_part", "delays", "generate_all", "map_design", "verilog_of"]

DEFAULT_CACHE = Path("build/cache")

# Sources whose change makes earlier results stale.
_SOURCES = ("late_adders", "liberty_text", "mapping", "pdk", "polarity", "recipe", "sta", "yosys", "yosys_child")

# Module of the generated Verilog -> part, as reports name it. The top holds the registers: of a MAC unit the accumulator.
PARTS = {
    "decoder": "partial products",
    "partial_products": "partial products",
    "compressor": "compressor",
    "accumulation": "compressor",
    "final_adder": "final adder",
    "activation_decoder": "partial products",
    "scale_decoder": "scales",
    "scaler": "scales",
    "codebook": "codebooks",
    "codeword": "codebooks",
    "codebook_registers": "codebooks",
}
REGISTERS = {"mac": "accumulator", "pe": "registers"}
_INNER = "block_"  # modules of the unit inside a unit of a block format


@dataclass(frozen=True)
class Mapped:
    """A mapped and timed design."""

    design: str
    pdk: str
    config: UnitConfig
    recipe: Recipe
    netlist: Path
    area_um2: float  # sum of the cells, as the library counts
    delay_ns: float  # critical path, setup included: the shortest period
    cells: int
    cell_counts: Mapping[str, int]
    verilog_sha256: str
    netlist_sha256: str
    liberty: tuple[Path, ...]  # plain-text copies
    cached: bool  # taken from the cache

    def closes(self, period_ns: float) -> bool:
        """Whether the critical path fits the period."""
        return self.delay_ns <= period_ns + 1e-9

    def describe(self) -> dict[str, Any]:
        """Plain data, without paths."""
        return {
            "design": self.design,
            "pdk": self.pdk,
            "format": self.config.format_name,
            "architecture": self.config.architecture,
            "shape": self.config.shape,
            "lanes": self.config.lanes,
            "pipeline": self.config.pipeline,
            "decoded": self.config.decoded,
            "area_um2": self.area_um2,
            "delay_ns": self.delay_ns,
            "cells": self.cells,
            "options": self.recipe.describe(),
            "netlist_sha256": self.netlist_sha256,
            "verilog_sha256": self.verilog_sha256,
        }


_verilog: dict[UnitConfig, str] = {}


def verilog_of(config: UnitConfig) -> str:
    """The generated Verilog of a configuration."""
    if config not in _verilog:
        (_verilog[config],) = _generate([config])
    return _verilog[config]


def generate_all(configs: Iterable[UnitConfig], jobs: int) -> None:
    """Generate the Verilog of several configurations ahead, `jobs` at a time, in processes: Amaranth is not for threads."""
    missing = [config for config in dict.fromkeys(configs) if config not in _verilog]
    if not missing:
        return
    from joblib import Parallel, delayed

    from hdl.verilog import TOGETHER  # Amaranth is slow to import

    size = max(1, min(TOGETHER, len(missing) // jobs))
    parts = [missing[i : i + size] for i in range(0, len(missing), size)]
    for part, texts in zip(parts, Parallel(jobs if len(parts) > 1 else 1)(map(delayed(_generate), parts)), strict=True):
        _verilog.update(zip(part, texts, strict=True))


def _generate(configs: Sequence[UnitConfig]) -> list[str]:
    from hdl import verilog

    return verilog.generate_each(configs)


def map_design(config: UnitConfig, pdk: Pdk, recipe: Recipe, cache: Path = DEFAULT_CACHE) -> Mapped:
    """Map and time one design; a result that is in the cache is taken from there, and no tool runs.

    Raises
    ------
    InputError, ToolError
        As `synth.yosys.map_verilog` and `synth.sta.analyze`.
    """
    verilog = verilog_of(config)
    plain = _plain_liberty(pdk, cache)
    key = _key(pdk, recipe, verilog, config.name)
    entry = cache / "netlists" / key[:2] / key
    facts = _read(entry)
    cached = facts is not None
    if facts is None:
        liberty.load(pdk.liberty)  # refuses an unusable library in words of its own
        mapped = yosys.map_verilog(verilog, config.name, pdk, plain, recipe)
        counts = mapped.cells[config.name]
        with _new_entry(entry) as folder:
            (folder / "netlist.v").write_text(mapped.verilog)
            timing = sta.analyze(folder / "netlist.v", config.name, plain, pdk.input_transition_ns)
            facts = {
                "area_um2": _area(counts, pdk),
                "delay_ns": timing.delay_ns,
                "cell_counts": dict(counts),
                "netlist_sha256": sha256_file(folder / "netlist.v"),
            }
            (folder / "facts.json").write_text(record_text(facts))
    return Mapped(
        design=config.name,
        pdk=pdk.name,
        config=config,
        recipe=recipe,
        netlist=entry / "netlist.v",
        area_um2=facts["area_um2"],
        delay_ns=facts["delay_ns"],
        cells=sum(facts["cell_counts"].values()),
        cell_counts=facts["cell_counts"],
        verilog_sha256=hashlib.sha256(verilog.encode()).hexdigest(),
        netlist_sha256=facts["netlist_sha256"],
        liberty=plain,
        cached=cached,
    )


def delays(mapped: Mapped, pdk: Pdk) -> Path:
    """The SDF of a mapped design as OpenSTA writes it, kept beside the netlist; written again if it has changed."""
    path, record = mapped.netlist.with_name("delays.sdf"), mapped.netlist.with_name("delays.json")
    kept = read_record(record)
    if kept is None or not path.exists() or sha256_file(path) != kept["sdf_sha256"]:
        with tempfile.TemporaryDirectory(prefix="dint-sdf-") as name:
            fresh = Path(name) / "delays.sdf"
            sta.write_sdf(mapped.netlist, mapped.design, mapped.liberty, pdk.input_transition_ns, fresh)
            write_file(path, fresh.read_bytes())
        write_file(record, record_text({"sdf_sha256": sha256_file(path)}))
    return path


def area_by_part(mapped: Mapped, pdk: Pdk, cache: Path = DEFAULT_CACHE) -> tuple[dict[str, float], float]:
    """Areas in um2 of partial products, compressor, final adder and accumulator (registers, hold and restart) or registers.

    Units of block formats have scales, too: their decoder, multiplier and shifter; their registers count as the accumulator's.

    Mapping a flat design loses the parts, so the shares come from a second run of the same recipe that keeps the modules.

    Returns
    -------
    The parts, which add up to `mapped.area_um2`, and the area of the run that kept the modules. That is larger, since nothing
    is optimized across their borders: the further it is from `mapped.area_um2`, the rougher the split.
    """
    parts = _parts(mapped, pdk, cache)
    whole = sum(parts.values())
    return {part: area * mapped.area_um2 / whole for part, area in parts.items()}, whole


def _parts(mapped: Mapped, pdk: Pdk, cache: Path) -> dict[str, float]:
    verilog, top = verilog_of(mapped.config), mapped.design
    plain = _plain_liberty(pdk, cache)
    blocks = mapped.config.block_format if isinstance(mapped.config, BlockMacConfig) else None
    absent = {"scales"} if blocks is None else set()
    absent |= {"codebooks"} if blocks is None or blocks.selector_block is None else set()
    names = (*(part for part in dict.fromkeys(PARTS.values()) if part not in absent), REGISTERS[mapped.config.shape])
    key = _key(pdk, mapped.recipe, verilog, top)
    path = cache / "netlists" / key[:2] / key / "parts.json"
    if (kept := read_record(path)) is not None:
        return {part: kept[part] for part in names}
    netlist = yosys.map_verilog(verilog, top, pdk, plain, mapped.recipe, flatten=False)
    modules = netlist.cells
    parts: dict[str, float] = {}

    def add(module: str, part: str) -> None:
        for kind, count in modules[module].items():
            if kind not in modules:
                parts[part] = parts.get(part, 0.0) + _area({kind: count}, pdk)
                continue
            suffix = kind.removeprefix(f"{top}_").removeprefix(_INNER)
            for _ in range(count):
                add(kind, PARTS.get(suffix, part))

    add(top, names[-1])
    parts = {part: round(parts.get(part, 0.0), 6) for part in names}
    write_file(path, record_text(parts))
    return parts


def _area(counts: Mapping[str, int], pdk: Pdk) -> float:
    library = liberty.load(pdk.liberty)
    return round(sum(float(library.cell(kind).area) * count for kind, count in sorted(counts.items())), 6)


@lru_cache(maxsize=64)
def _plain_liberty_of(files: tuple[Path, ...], _digests: tuple[str, ...], cache: Path) -> tuple[Path, ...]:
    return liberty_text.unpacked(files, cache)


def _plain_liberty(pdk: Pdk, cache: Path) -> tuple[Path, ...]:
    paths = _plain_liberty_of(pdk.liberty, pdk.liberty_sha256, cache)
    if not all(path.exists() for path in paths):
        _plain_liberty_of.cache_clear()
        paths = _plain_liberty_of(pdk.liberty, pdk.liberty_sha256, cache)
    return paths


def _key(pdk: Pdk, recipe: Recipe, verilog: str, top: str) -> str:
    return sha256_of(
        {
            "top": top,
            "verilog": verilog,
            "pdk": pdk.describe(),
            "recipe": recipe.describe(),
            "yosys": yosys.version(),
            "opensta": sta.version(),
            "sources": _sources_sha256(),
        }
    )


@lru_cache(maxsize=1)
def _sources_sha256() -> dict[str, str]:
    folder = Path(__file__).parent
    return {name: sha256_file(folder / f"{name}.py") for name in _SOURCES}


def _read(entry: Path) -> dict[str, Any] | None:
    """Facts of a cache entry, or None if there is none or its netlist is not the one that was written."""
    with suppress(OSError):
        facts = read_record(entry / "facts.json")
        if facts is not None and sha256_file(entry / "netlist.v") == facts["netlist_sha256"]:
            return facts
    shutil.rmtree(entry, ignore_errors=True)
    return None


@contextmanager
def _new_entry(entry: Path) -> Iterator[Path]:
    """A folder that becomes the cache entry when the block ends well, and vanishes otherwise."""
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".new-", dir=entry.parent))
    except OSError as error:
        raise InputError(
            f"cache folder {entry.parent}: cannot be written ({error.strerror}); make it writable, or work where there is space"
        ) from error
    try:
        with disk_failures(f"cache folder {entry.parent}", "work in a folder where there is more"):
            yield folder
        with suppress(OSError):  # another process was first with the same result
            folder.replace(entry)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
