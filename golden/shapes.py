# SPDX-License-Identifier: Apache-2.0
"""A unit of any shape from the options that commands have in common."""

from __future__ import annotations

from typing import Any

from .asymmetric import AsymmetricConfig
from .block_mac import BlockMacConfig
from .catalogue import SCALED_FORMATS, any_format
from .errors import InputError, unknown
from .mac import MacConfig
from .number_format import NumberFormat
from .pe import PeConfig
from .unit import UnitConfig

__all__ = ["LANES", "SHAPES", "block_unit_of_options", "formats_of", "options_of", "unit_of_options"]

SHAPES = MAC, PE = "mac", "pe"
_INTEGERS = "int8"
LANES = 16  # of a MAC unit, where a command is given no other number


def unit_of_options(
    format: str,
    *,
    activations: str = _INTEGERS,
    lanes: int | None = None,
    default_lanes: int = LANES,
    depth: int = 65536,
    pipeline: int | None = None,
    architecture: str = "",
    decoded: bool = False,
    shape: str = MAC,
    zero_points: int | None = None,
    writable_codebooks: bool = False,
) -> UnitConfig:
    """The unit that options name.

    Parameters
    ----------
    format, activations
        The format of the weights; that of the activations, if they are no 8-bit integers: the block format of the weights.
    shape
        "mac": a MAC unit, or with `zero_points` so many MAC units for asymmetric weights; "pe": a processing element.
    lanes, default_lanes, pipeline
        Lanes of a MAC unit, and registers; None where they were not given: then `default_lanes`, and none.

    Raises
    ------
    InputError
        If there is no such format or shape, or the shape lacks an option that was given.
    """
    name = str(format).lower()
    if name in SCALED_FORMATS:
        return block_unit_of_options(
            name,
            activations=activations,
            lanes=default_lanes if lanes is None else lanes,
            depth=depth,
            architecture=architecture,
            pipeline=pipeline,
            shape=shape,
            decoded=decoded or None,
            zero_points=zero_points,
            writable_codebooks=writable_codebooks,
        )
    if writable_codebooks:
        raise InputError(f"--writable-codebooks: {format} has no codebooks; leave it out")
    if activations != _INTEGERS:
        raise InputError(f"--activations {activations}: with --format {format} they are {_INTEGERS}; leave it out")
    weights, own = formats_of(name)
    if own != _INTEGERS:
        raise InputError(f"--format {format}: names both operands' format; give --format {weights} --activations {own}")
    weight_format = any_format(format)
    assert isinstance(weight_format, NumberFormat)  # those that bring scales along are dealt with
    if shape == MAC:
        mac = MacConfig(
            weight_format,
            lanes=default_lanes if lanes is None else lanes,
            depth=depth,
            pipeline=0 if pipeline is None else pipeline,
            architecture=architecture,
            decoded=decoded,
        )
        return mac if zero_points is None else AsymmetricConfig.of(mac, zero_points)
    if shape != PE:
        raise unknown(f"shape is {shape!r}", shape, SHAPES)
    if lanes is not None:
        raise InputError(f"lanes is {lanes}: a pe has one product; leave it out")
    if zero_points is not None:
        raise InputError(f"zero_points is {zero_points}: it is an option of --shape mac; leave it out")
    return PeConfig(weight_format, depth=depth, architecture=architecture, decoded=decoded, pipeline=pipeline or 0)


def options_of(config: UnitConfig) -> dict[str, Any]:
    """The options by which `unit_of_options` makes a unit of the catalogue's formats."""
    weights, activations = formats_of(config.format_name)
    options: dict[str, Any] = {"format": weights, "shape": config.shape, "depth": config.depth}
    options["architecture"] = config.architecture
    if isinstance(config, PeConfig):
        return options | {"decoded": config.decoded, "pipeline": config.pipeline}
    options |= {"lanes": config.lanes, "pipeline": config.pipeline}
    if isinstance(config, AsymmetricConfig):
        return options | {"zero_points": config.units}
    if isinstance(config, BlockMacConfig):
        return options | {"activations": activations, "writable_codebooks": config.writable_codebooks}
    assert isinstance(config, MacConfig)
    return options | {"decoded": config.decoded}


def formats_of(name: str) -> tuple[str, str]:
    """The formats of weights and activations, as options name them, of units whose `format_name` is `name`.

    `nvfp4_a4` has activations in NVFP4, too; those of all others are 8-bit integers.
    """
    base, _, bits = name.lower().rpartition("_a")
    known = SCALED_FORMATS.get(base)
    return (base, base) if known is not None and bits == str(known.bits) else (name.lower(), _INTEGERS)


def block_unit_of_options(
    format: str,
    *,
    activations: str = _INTEGERS,
    lanes: int = LANES,
    depth: int = 65536,
    pipeline: int | None = None,
    architecture: str = "",
    writable_codebooks: bool = False,
    shape: str = MAC,
    **others: Any,
) -> BlockMacConfig:
    """The MAC unit of the block format called `format` that options name; `others` are those of plain units.

    Raises
    ------
    InputError
        If it has no such choice.
    """
    blocks = SCALED_FORMATS[format.lower()]
    for name, value in {"shape": None if shape == MAC else shape, **others}.items():
        if value is not None:
            given = "" if value is True else f" {value}"
            raise InputError(f"--{name.replace('_', '-')}{given}: units of {blocks.title} have no such choice; leave it out")
    if activations not in (_INTEGERS, blocks.name):
        raise unknown(f"--activations {activations}", activations, (_INTEGERS, blocks.name))
    bits = 8 if activations == _INTEGERS else blocks.bits
    if writable_codebooks and blocks.selector_block is None:
        raise InputError(f"--writable-codebooks: {blocks.title} has no codebooks; leave it out")
    return BlockMacConfig.of(
        blocks,
        bits,
        lanes=lanes,
        depth=depth,
        pipeline=pipeline or 0,
        architecture=architecture,
        writable_codebooks=writable_codebooks,
    )
