# SPDX-License-Identifier: Apache-2.0
"""What a job is given: kits, a model, a text. Refused at once where a stage would refuse it after minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golden import InputError, formats_of, unit_of_options
from golden.artifacts import sha256_file

from .stages import HARDWARE_PACKAGES, ROOT, file_hashes, package_versions, source_hash

if TYPE_CHECKING:
    from synth.pdk import Pdk
    from synth.search import Effort

__all__ = ["check_inputs", "hardware_inputs", "kits_of", "model_inputs"]


def kits_of(pdks: Sequence[str], liberty: tuple[Path, ...], platforms: Path | None) -> list[Pdk]:
    """The kit of these Liberty files, or the kits of these names; by default the packaged default and whatever else is found.

    Of the packaged libraries that is the default alone; the others are a matter of their names.
    """
    from synth.pdk import discover, find

    if liberty:
        return [find(liberty=liberty)]
    if pdks:
        return [find(name, platforms=platforms) for name in dict.fromkeys(pdks)]
    return [find(), *(kit for kit in discover(platforms) if kit.origin != "qflow")]


def check_inputs(
    formats: Sequence[str], lanes: Sequence[int], kits: Sequence[Pdk], model: str | None, text: Path | None
) -> None:
    """Raise InputError or ToolError if an option, a file or a tool cannot be used."""
    from quant.corpus import read_text
    from sim.simulators import find_simulator
    from synth import liberty, sta, yosys

    for count in lanes:
        for name in formats:
            weights, activations = formats_of(name)
            unit_of_options(weights, activations=activations, lanes=count)
    if text is not None:
        read_text(text, "--text")
    _check_model(model)
    find_simulator()
    sta.version()
    yosys.version()
    for kit in kits:
        liberty.load(kit.liberty).require_power()  # refuses a library without flip-flops, too


def _check_model(model: str | None) -> None:
    """What can be said of a model directory without loading torch; a name of a hub is left to the first stage."""
    source = _directory(model)
    if source.is_dir():
        if not (source / "config.json").is_file():
            raise InputError(f"model {source}: no config.json in it; it is not a Hugging Face model directory")
    elif source.exists():
        raise InputError(f"model {source}: is a file; name the directory with config.json in it")
    elif model is None or model.startswith((".", "/")) or model.count("/") > 1:
        raise InputError(f"model {source}: no such directory")


def model_inputs(model: str | None) -> Any:
    """What decides a model, as plain data: the hashes of its files; of a hub's model its name."""
    source = _directory(model)
    return file_hashes(source) if source.is_dir() else model


def _directory(model: str | None) -> Path:
    """Where `model` is, if it is a directory; the shipped checkpoint by default."""
    return Path(model) if model is not None else ROOT / "quant" / "checkpoint"


def hardware_inputs(
    kit: Pdk, lanes: int | Sequence[int], operands: Mapping[str, Path], seed: int, effort: Effort | None
) -> dict[str, Any]:
    """What decides area, delay and energy of units on one kit, as plain data; `operands` are files, by format."""
    from synth.measuring import simulator_version
    from synth.sta import version as opensta_version

    return {
        "pdk": kit.describe(),
        "lanes": lanes,
        "operands": {name: sha256_file(file) for name, file in operands.items()},
        "seed": seed,
        "effort": str(effort),
        "opensta": opensta_version(),
        "simulator": simulator_version(),
        "sources": source_hash(["golden", "hdl", "sim", "synth"]),
        "versions": package_versions(HARDWARE_PACKAGES),
    }
