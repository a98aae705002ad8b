# SPDX-License-Identifier: Apache-2.0
"""Operand files, fuzzed."""

from __future__ import annotations

import json
from dataclasses import fields
from operator import mul
from pathlib import Path
from random import Random

import numpy as np

from golden import FORMATS, MacConfig, Operands
from golden.operands import LayerOperands, _digest

from . import mutations
from .engine import Case, Target, garbage

__all__ = ["TARGETS", "operands"]


def operands(folder: Path) -> Operands:
    """A small operand file of two layers in `folder`, and its contents."""
    number_format, generator = FORMATS["dint4"], np.random.default_rng(1)
    layers = []
    for name in ("first", "second"):
        weights = generator.integers(0, 16, (3, 6), dtype=np.uint8)
        activations = generator.integers(-128, 128, (2, 6)).astype(np.int8)
        layer = LayerOperands(
            name,
            weights,
            activations,
            activations.astype(np.int64) @ number_format.decode(weights).T,
            generator.random(3, dtype=np.float32),
            generator.random(2, dtype=np.float32),
            generator.integers(0, 14, 3) if name == "second" else None,
        )
        accumulators = layer.expected(number_format)
        layers.append(LayerOperands(**{**vars(layer), "accumulators": accumulators}))
    operands = Operands(number_format, tuple(layers), {"model": {"name": "made up", "sha256": "0"}, "tokens": 2})
    operands.save(folder / "operands.npz")
    return operands


def _operand_file(valid: Operands, rng: Random, folder: Path) -> Case:
    from sim.stimulus import Stimulus

    path = folder / "operands.npz"
    valid.save(path)
    original = path.read_bytes()
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    manifest = json.loads(arrays.pop("manifest").tobytes())
    rewritten = False  # whether the checksum was made to fit
    path.unlink()
    match rng.randrange(8):
        case 0:
            mutations.misplaced(path, original, rng)
        case 1:
            np.save(path.with_suffix(".npy"), arrays["0.weights"])
            path.with_suffix(".npy").rename(path)
        case 2 | 3:
            path.write_bytes(mutations.damaged(original, rng))
        case _:
            rewritten = rng.random() < 0.6
            for _ in range(rng.choice((0, 1, 1, 2))):
                name = rng.choice(sorted(arrays))
                if rng.random() < 0.2:
                    arrays[rng.choice(("0.extra", "2.weights", "weights", "00.weights", name + "x"))] = arrays.pop(name)
                else:
                    arrays[name] = mutations.array(arrays[name], rng)
            if rewritten:
                manifest["sha256"] = _digest(arrays)
            encoded = mutations.json_text(manifest, rng if rng.random() < 0.5 else None).encode()
            path.write_bytes(mutations.npz({**arrays, "manifest": np.frombuffer(encoded, np.uint8)}, rng))

    def run() -> Operands:
        loaded = Operands.load(path)
        if loaded.layers and loaded.layers[0].zero_points is None:
            unit = MacConfig(loaded.number_format, lanes=2)
            Stimulus.from_operands(Operands(loaded.number_format, loaded.layers[:1]), unit, 8, 0)
        return loaded

    def check(loaded: Operands) -> None:
        for layer in loaded.layers:
            found = next((one for one in valid.layers if _equal(one, layer)), None)
            garbage(found is None and not rewritten, f"other operands: {layer.name}")
            scales = np.concatenate([layer.weight_scales, layer.activation_scales])
            garbage(not np.isfinite(scales).all(), f"scales: not finite in {layer.name}")
            garbage(bool((layer.weights >= 16).any()), f"codes: out of range in {layer.name}")
            garbage(_sums(layer) != layer.accumulators.tolist(), f"sums: not those of its operands in {layer.name}")

    return Case(run, check)


def _sums(layer: LayerOperands) -> list[list[int]]:
    """From dINT4's table of codes, written down once more, by Python's integers, in halves of a step."""
    table = [0, -2, -4, -6, -8, -10, -12, -14, 1, -1, 12, 10, 8, 6, 4, 2]
    points = [7] * len(layer.weights) if layer.zero_points is None else layer.zero_points.tolist()
    rows = [
        [table[code] + (0 if code in (8, 9) else 2 * (7 - point)) for code in codes]
        for codes, point in zip(layer.weights.tolist(), points, strict=True)
    ]
    return [[sum(map(mul, row, given)) for row in rows] for given in layer.activations.tolist()]


def _equal(one: LayerOperands, other: LayerOperands) -> bool:
    """Whether two layers hold the same numbers."""
    pairs = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(one) if field.name != "name"]
    return all((a is None) == (b is None) and (a is None or np.array_equal(a, b)) for a, b in pairs)


TARGETS = (Target("operand files", 25, operands, _operand_file),)
