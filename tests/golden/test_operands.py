# SPDX-License-Identifier: Apache-2.0
"""Operand files: what was saved comes back, and nothing else does."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from golden import DINT3, DINT4, FORMATS, INT8, InputError, LayerOperands, OperandError, Operands


def operands(number_format=DINT4, zero_points=False, seed=0):
    rng = np.random.default_rng(seed)
    layers = []
    for name, (outputs, inputs) in {"fc1": (6, 10), "fc2": (3, 7)}.items():
        layer = LayerOperands(
            name,
            weights=rng.integers(0, len(number_format.values), (outputs, inputs)).astype(np.uint8),
            activations=rng.integers(-128, 128, (4, inputs)).astype(np.int8),
            accumulators=np.zeros((4, outputs), dtype=np.int64),
            weight_scales=rng.normal(size=outputs).astype(np.float32),
            activation_scales=rng.random(4).astype(np.float32),
            zero_points=rng.integers(0, 14, outputs) if zero_points else None,
        )
        layers.append(replace(layer, accumulators=layer.expected(number_format)))
    return Operands(number_format, tuple(layers), {"model": "m", "sha256": "0" * 64})


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "operands.npz"
    operands().save(path)
    return path


def rewrite(path, change):
    """Change the arrays or the manifest of a file, as a faulty writer would."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    manifest = json.loads(arrays.pop("manifest").tobytes())
    change(manifest, arrays)
    np.savez(path, manifest=np.frombuffer(json.dumps(manifest).encode(), dtype=np.uint8), **arrays)


@pytest.mark.parametrize("zero_points", [False, True])
def test_roundtrip(tmp_path, zero_points):
    original = operands(zero_points=zero_points)
    original.save(tmp_path / "o.npz")
    loaded = Operands.load(tmp_path / "o.npz")
    assert loaded.number_format is DINT4
    assert loaded.format_name == "dint4"
    assert all(np.array_equal(loaded.expected(layer), layer.accumulators) for layer in loaded.layers)
    with np.load(tmp_path / "o.npz") as archive:
        assert json.loads(archive["manifest"].tobytes()).keys() == {
            "version",
            "format",
            "values",
            "layers",
            "provenance",
            "sha256",
        }
    assert loaded.provenance == original.provenance
    assert [layer.name for layer in loaded.layers] == ["fc1", "fc2"]
    for one, other in zip(loaded.layers, original.layers, strict=True):
        for name in ("weights", "activations", "accumulators", "weight_scales", "activation_scales", "zero_points"):
            a, b = getattr(one, name), getattr(other, name)
            assert (a is None and b is None) or (a.dtype == b.dtype and np.array_equal(a, b))
        assert np.array_equal(one.expected(DINT4), one.accumulators)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["o.npz"]


@pytest.mark.parametrize("number_format", FORMATS.values(), ids=FORMATS)
def test_expected_is_the_golden_models_dot(number_format):
    for layer in operands(number_format).layers:
        by_hand = [
            [sum(number_format.values[w] * int(a) for w, a in zip(row, token, strict=True)) for row in layer.weights.tolist()]
            for token in layer.activations
        ]
        assert layer.accumulators.tolist() == by_hand


def test_expected_with_zero_points_is_the_papers_correction():
    """sum k a = sum k' a - 2 z sum a, with k' = 2 q for integers and 2 z +- 1 for the specials."""
    least = min(value for code, value in enumerate(DINT4.values) if code not in DINT4.special_codes)
    for layer in operands(zero_points=True).layers:
        a = layer.activations.astype(int)
        for o, (codes, z) in enumerate(zip(layer.weights.tolist(), layer.zero_points.tolist(), strict=True)):
            k = np.array([2 * z + DINT4.values[c] if c in DINT4.special_codes else DINT4.values[c] - least for c in codes])
            assert np.array_equal(layer.accumulators[:, o], a @ k - 2 * z * a.sum(axis=1))


def test_equal_operands_equal_bytes(tmp_path):
    operands().save(tmp_path / "a.npz")
    same = operands()
    replace(same, provenance=dict(reversed(same.provenance.items()))).save(tmp_path / "b.npz")
    operands(seed=1).save(tmp_path / "c.npz")
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b != c


def test_a_changed_byte_anywhere_is_refused_or_changes_nothing(saved):
    """Flip one bit in every 7th byte: the file is refused, unless the byte belongs to the archive's own bookkeeping."""
    data = saved.read_bytes()
    original = Operands.load(saved)
    refused = []
    places = range(0, len(data), 7)
    for place in places:
        saved.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        try:
            loaded = Operands.load(saved)
        except OperandError as error:
            refused.append(str(error))
            continue
        for one, other in zip(loaded.layers, original.layers, strict=True):
            assert np.array_equal(one.weights, other.weights)
            assert np.array_equal(one.activations, other.activations)
            assert np.array_equal(one.accumulators, other.accumulators)
    assert len(refused) > len(places) / 2
    assert all("\n" not in message and str(saved) in message for message in refused)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, part):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(OperandError, match=r"operands\.npz: not an operand file, or damaged"):
        Operands.load(saved)


def _set(name, index, value):
    def change(_, arrays):
        arrays[name] = arrays[name].copy()
        arrays[name][index] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("0.weights", (0, 0), 3), "differ from their checksum"),
        (_set("1.activations", (0, 0), 1), "differ from their checksum"),
        (_set("0.accumulators", (0, 0), 10**6), "differ from their checksum"),
        (_set("0.weight_scales", 0, 0.5), "differ from their checksum"),
        (lambda m, _: m.update(version=2), "version 2 of the file format has none of dINT4"),
        (lambda m, _: m.update(values=list(INT8.values)), "code table for dint4 is not the catalogue's"),
        (lambda m, _: m["values"].reverse(), "code table for dint4 is not the catalogue's"),
        (lambda _, arrays: arrays.pop("1.weights"), "differ from their checksum"),
        (lambda m, _: m["layers"].append("fc3"), "arrays of fc3 are not those of a layer"),
    ],
    ids=["weight", "activation", "sum", "scale", "version", "table", "order", "array", "layer"],
)
def test_corruptions_are_refused(saved, change, message):
    rewrite(saved, change)
    with pytest.raises(OperandError, match=message):
        Operands.load(saved)


@pytest.mark.parametrize("zero_points", [False, True])
def test_a_sum_that_its_operands_do_not_make_is_refused(tmp_path, zero_points):
    """Each of them, with a checksum that fits."""
    given = operands(zero_points=zero_points)
    for index, layer in enumerate(given.layers):
        for token, output in np.ndindex(layer.accumulators.shape):
            sums = layer.accumulators.copy()
            sums[token, output] += 1
            layers = [*given.layers]
            layers[index] = replace(layer, accumulators=sums)
            replace(given, layers=tuple(layers)).save(tmp_path / "o.npz")
            said = f"{layer.name}, token {token}, output {output}: the file states a sum of {sums[token, output]}, its operands"
            with pytest.raises(OperandError, match=f"{said} make {sums[token, output] - 1}; export it again"):
                Operands.load(tmp_path / "o.npz")


def test_exponents_where_there_are_none_are_refused(tmp_path):
    given = operands()
    wrong = replace(given.layers[0], exponents=np.zeros((4, 6), np.int64))
    replace(given, layers=(wrong, given.layers[1])).save(tmp_path / "o.npz")
    with pytest.raises(OperandError, match=r"a sum of (-?\d+) x 2\^0, its operands make \1; export it again"):
        Operands.load(tmp_path / "o.npz")


def test_codes_that_are_none_are_refused(tmp_path):
    given = operands(DINT3)
    wrong = replace(given.layers[0], weights=given.layers[0].weights | 8)
    replace(given, layers=(wrong,)).save(tmp_path / "o.npz")
    with pytest.raises(OperandError, match=r"o\.npz: fc1: code \d+ is not one of dint3"):
        Operands.load(tmp_path / "o.npz")


@pytest.mark.parametrize("name", ["activations", "accumulators", "weight_scales", "activation_scales", "zero_points"])
def test_wrong_shapes_are_refused(tmp_path, name):
    layer = operands(zero_points=True).layers[0]
    broken = replace(layer, **{name: getattr(layer, name)[..., :-1]})
    path = tmp_path / "o.npz"
    Operands(DINT4, (broken,), {}).save(path)
    with pytest.raises(OperandError, match=rf"fc1\.{name} has shape"):
        Operands.load(path)


def test_other_files(tmp_path):
    with pytest.raises(OperandError, match="no such operand file; make one with 'dint operands'"):
        Operands.load(tmp_path / "missing.npz")
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    for name in ("text", "other"):
        with pytest.raises(OperandError, match="not an operand file, or damaged"):
            Operands.load(tmp_path / f"{name}.npz")


def test_saving_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        operands().save(tmp_path / "o.npz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("entry", ["sha256", "format", "values", "layers", "provenance", "version"])
@pytest.mark.parametrize("value", [None, 7, "dint44", [[1]], "missing"], ids=repr)
def test_a_wrong_manifest_is_refused(saved, entry, value):
    with np.load(saved) as archive:
        arrays = dict(archive)
    manifest = json.loads(arrays["manifest"].tobytes()) | {entry: value}
    if value == "missing":
        del manifest[entry]
    arrays["manifest"] = np.frombuffer(json.dumps(manifest).encode(), np.uint8)
    np.savez(saved, **arrays)
    with pytest.raises((OperandError, InputError)):
        Operands.load(saved)


@pytest.mark.parametrize("content", [[], 7, None, "text"], ids=repr)
def test_a_manifest_that_is_none_is_refused(saved, content):
    np.savez(saved, manifest=np.frombuffer(json.dumps(content).encode(), np.uint8))
    with pytest.raises(OperandError, match="version None"):
        Operands.load(saved)


@pytest.mark.parametrize("name", ["weights", "activations", "accumulators", "weight_scales", "activation_scales"])
def test_arrays_of_another_kind_are_refused(saved, name):
    layer = operands().layers[0]
    array = getattr(layer, name)
    for wrong in (array.astype(np.float16), array[0], array[None], array.astype(str)):
        Operands(DINT4, (replace(layer, **{name: np.asarray(wrong)}),), {}).save(saved)
        with pytest.raises(OperandError, match=name):
            Operands.load(saved)


def test_a_file_without_layers_by_name_is_refused(saved):
    for names in (["fc1", 7], ["fc1"]):
        rewrite(saved, lambda manifest, _, names=names: manifest.update(layers=names))
        with pytest.raises(OperandError, match="its layers are not those that its manifest names"):
            Operands.load(saved)


@pytest.mark.parametrize("name", ["weight_scales", "activation_scales"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scales_that_are_not_finite_are_refused(tmp_path, name, value):
    good = operands().layers[0]
    scales = getattr(good, name).copy()
    scales[-1] = value
    bad = Operands(DINT4, (replace(good, **{name: scales}),))
    bad.save(tmp_path / "o.npz")
    with pytest.raises(OperandError, match=f"fc1.{name} is not finite everywhere"):
        Operands.load(tmp_path / "o.npz")


def test_an_array_that_unpacks_to_far_too_much_is_refused(tmp_path):
    for size, message in ((1 << 26, "not an operand file"), ((1 << 26) + 1, "would unpack to far more than operands do")):
        with zipfile.ZipFile(path := tmp_path / "o.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("manifest.npy", bytes(size))
        with pytest.raises(OperandError, match=message):
            Operands.load(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_arrays_of_one_name_are_refused(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("manifest.npy", archive.read("manifest.npy"))
    with pytest.raises(OperandError, match="has two arrays of one name"):
        Operands.load(saved)


def test_pickled_arrays_are_neither_written_nor_read(saved):
    rewrite(saved, lambda _, arrays: arrays.update({"0.weights": np.array([{}], dtype=object)}))
    with pytest.raises(OperandError, match="allow_pickle=False"):
        Operands.load(saved)
    unknown = replace(operands().layers[0], weights=np.array([[{}]], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Operands(DINT4, (unknown,)).save(saved)


def test_the_checksum_is_of_every_array(saved):
    """A file whose arrays were changed and whose checksum was not."""
    for name in ("0.weights", "0.activation_scales", "1.activations"):
        rewrite(saved, lambda _, arrays, name=name: arrays.update({name: arrays[name][::-1]}))
        with pytest.raises(OperandError, match="differ from their checksum"):
            Operands.load(saved)


def test_the_checksum_is_of_shapes_and_kinds_too(saved):
    for change in (lambda array: array.reshape(-1), lambda array: array.view(np.int8)):
        operands().save(saved)
        rewrite(saved, lambda _, arrays, change=change: arrays.update({"0.weights": change(arrays["0.weights"])}))
        with pytest.raises(OperandError, match="differ from their checksum"):
            Operands.load(saved)


def test_an_array_of_another_file_type_is_refused(saved):
    np.save(saved.with_suffix(".npy"), np.zeros(3))
    saved.with_suffix(".npy").replace(saved)
    with pytest.raises(OperandError, match="not an operand file"):
        Operands.load(saved)


@pytest.mark.parametrize("shape", ["(99999999999999,)", "(-1,)", "(1, 2"])
def test_headers_that_lie_are_refused(saved, shape):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["0.weights.npy"] = members["0.weights.npy"].replace(b"(6, 10)", shape.encode())
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(OperandError, match="not an operand file, or damaged"):
        Operands.load(saved)
