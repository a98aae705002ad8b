# SPDX-License-Identifier: Apache-2.0
"""Exported operands: the quantized model's own integers, agreeing with every other way to compute them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from golden import MacConfig, Operands
from golden.errors import InputError
from quant.evaluation import documentation_protocol
from quant.export import default_layers, evenly_spaced, export_operands, recorded
from quant.models import LoadedModel
from quant.quantization import QuantizedModel, quantize_model
from quant.recipe import Recipe

RECIPES = [
    Recipe("dint4", scaling="aqas"),
    Recipe("int4"),
    Recipe("int8"),
    Recipe("dint3"),
    Recipe("dint4_quarter"),
    Recipe("dint4_eighth", form="asymmetric"),
    Recipe("dint4", form="asymmetric"),
    Recipe("dint4", scaling="aqas", rounding="optq"),
]
LINEARS = ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")
GROUPED = [Recipe("dint4", group_size=32), Recipe("int4", form="asymmetric", clipping="awq", group_size=16)]


@pytest.fixture(scope="module", params=RECIPES, ids=lambda recipe: recipe.name)
def quantized(request: pytest.FixtureRequest, tiny: LoadedModel, windows: torch.Tensor) -> QuantizedModel:
    return quantize_model(tiny, request.param, windows)


@pytest.fixture(scope="module")
def exported(quantized: QuantizedModel, tiny: LoadedModel) -> Operands:
    return export_operands(quantized.model, documentation_protocol(tiny).windows, {"model": "tiny"}, tokens=32)


def test_accumulators_agree_bit_for_bit(exported: Operands) -> None:
    """Golden model, torch._int_mm, Python integers, and the quantized layers."""
    for layer in exported.layers:
        assert np.array_equal(layer.expected(exported.number_format), layer.accumulators)
        if layer.zero_points is None:
            mac = MacConfig(exported.number_format)
            products = mac.dot(layer.weights[None], layer.activations[:, None])
            assert np.array_equal(products, layer.accumulators)
            values = torch.from_numpy(exported.number_format.decode(layer.weights))
            by_torch = torch._int_mm(torch.from_numpy(layer.activations), values.to(torch.int8).T.contiguous())
            assert np.array_equal(by_torch.numpy(), layer.accumulators)
            for token, output in ((0, 0), (7, 3), (31, len(layer.weights) - 1)):
                exact = mac.dot_one(layer.weights[output].tolist(), layer.activations[token].tolist())
                assert exact == int(layer.accumulators[token, output])


def test_scaled_accumulators_are_the_layers_output(exported: Operands, quantized: QuantizedModel, tiny: LoadedModel) -> None:
    outputs: dict[str, torch.Tensor] = {}
    handles = [
        module.register_forward_hook(lambda _module, _args, output, name=name: outputs.update({name: output.flatten(0, -2)}))
        for name, module in quantized.layers().items()
    ]
    with torch.no_grad():
        quantized.model(input_ids=documentation_protocol(tiny).windows[:1])
    for handle in handles:
        handle.remove()
    kept = evenly_spaced(32, 64)
    for layer in exported.layers:
        scaled = (
            layer.accumulators * float(exported.number_format.unit) * layer.weight_scales * layer.activation_scales[:, None]
        )
        bias = quantized.layers()[layer.name].bias
        assert bias is not None
        expected = outputs[layer.name][kept].numpy()
        np.testing.assert_allclose(scaled + bias.numpy(), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("recipe", GROUPED, ids=lambda recipe: recipe.name)
def test_groups_are_exported_one_by_one(tiny: LoadedModel, windows: torch.Tensor, recipe: Recipe) -> None:
    """Each group's accumulators are the golden model's, and scaled they add up to the layer's output."""
    model = quantize_model(tiny, recipe, windows).model
    name = "model.decoder.layers.1.fc2"
    outputs: list[torch.Tensor] = []
    layer = model.get_submodule(name)
    layer.register_forward_hook(lambda _module, _args, output: outputs.append(output.flatten(0, -2)))
    exported = export_operands(model, windows, {}, [name], tokens=64)
    size = recipe.group_size
    assert size is not None
    assert [one.name for one in exported.layers] == [f"{name}[{start}:{start + size}]" for start in range(0, 160, size)]
    total = layer.bias.numpy().astype(np.float64)
    for one in exported.layers:
        assert np.array_equal(one.expected(exported.number_format), one.accumulators)
        steps = one.accumulators * float(exported.number_format.unit)
        total = total + steps * one.weight_scales * one.activation_scales[:, None]
    np.testing.assert_allclose(total, outputs[0].numpy(), rtol=1e-5, atol=1e-5 * np.abs(total).max())


def test_tokens_are_spread_over_whole_windows(tiny: LoadedModel, windows: torch.Tensor) -> None:
    model = quantize_model(tiny, Recipe("dint4"), windows).model
    name = "model.decoder.layers.1.fc2"
    texts = documentation_protocol(tiny).windows
    every = export_operands(model, texts, {}, [name], tokens=128).layers[0]
    half = export_operands(model, texts, {}, [name], tokens=32).layers[0]
    assert np.array_equal(half.activations, every.activations[:64:2])
    assert every.activations.shape == (128, 160)
    assert np.abs(every.activations).max() == 127


def test_file_survives_and_notices_changes(exported: Operands, tmp_path: Path) -> None:
    exported.save(tmp_path / "operands.npz")
    exported.save(tmp_path / "again.npz")
    assert (tmp_path / "operands.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    loaded = Operands.load(tmp_path / "operands.npz")
    assert [layer.name for layer in loaded.layers] == [layer.name for layer in exported.layers]
    assert loaded.provenance["tokens"] == 32
    assert np.array_equal(loaded.layers[0].accumulators, exported.layers[0].accumulators)


def test_default_layers_are_the_ends() -> None:
    names = [f"model.decoder.layers.{index}.{name}" for index in range(4) for name in ("fc1", "fc2")]
    assert default_layers(names) == [*names[:2], *names[-2:]]


def test_what_cannot_be_exported(tiny: LoadedModel, windows: torch.Tensor) -> None:
    model = quantize_model(tiny, Recipe("dint4"), windows).model
    with pytest.raises(InputError, match=r"--layer fc1: no quantized layer of this name: known are model\.decoder"):
        export_operands(model, windows, {}, ["fc1"])
    with pytest.raises(InputError, match=r"--layer 2: the model has decoder layers 0 to 1"):
        export_operands(model, windows, {}, ["2"])
    one = [layer.name for layer in export_operands(model, windows, {}, ["1"], tokens=1).layers]
    assert one == [name for name, _ in model.named_modules() if ".1." in name and name.split(".")[-1] in LINEARS]
    weights_only = quantize_model(tiny, Recipe("dint4", activations="fp32"), windows).model
    with pytest.raises(InputError, match="only its weights are quantized"):
        export_operands(weights_only, windows, {})
    for tokens in (0, windows.numel() + 1):
        with pytest.raises(InputError, match=rf"--tokens {tokens}: the text gives 1 to {windows.numel()}"):
            export_operands(model, windows, {}, tokens=tokens)


def test_recording_ends(tiny: LoadedModel, windows: torch.Tensor) -> None:
    quantized = quantize_model(tiny, Recipe("dint4"), windows)
    layers = quantized.layers()
    with pytest.raises(KeyboardInterrupt), recorded(layers):
        raise KeyboardInterrupt
    assert all(layer.observer is None for layer in layers.values())
