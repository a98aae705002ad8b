# SPDX-License-Identifier: Apache-2.0
"""Groups in input channels, and AdaDim's choice of them by layer, against a restatement weight by weight."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import DINT4, FP4_E2M1, INT4, INT8, NumberFormat
from golden.errors import InputError
from quant.adadim import GroupingChoice, choose_groupings
from quant.command import quantize
from quant.compressed_tensors import export as export_compressed
from quant.evaluation import documentation_protocol
from quant.export import export_operands
from quant.huggingface import load_quantized
from quant.layers import QuantLinear, replace_module
from quant.models import LoadedModel
from quant.operands_command import operands
from quant.optq import DAMPING, round_input_channels
from quant.output_error import layer_inputs
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps
from quant.scheme import Scheme
from quant.weights import quantize_weights

from .conftest import hessian_of, save

GROUP = 8
LAYER = "model.decoder.layers.1"
FORMS = [(INT4, "asymmetric"), (INT4, "symmetric"), (DINT4, "asymmetric"), (DINT4, "symmetric"), (FP4_E2M1, "symmetric")]
EACH = pytest.mark.parametrize(("number_format", "form"), FORMS, ids=lambda one: getattr(one, "name", one))


def some_weight(outputs: int = 24, inputs: int = 10) -> torch.Tensor:
    """Heavy-tailed (out, in); one input channel ten times the others, one of zeros."""
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(outputs, inputs, generator=generator) * torch.exp(torch.randn(outputs, inputs, generator=generator))
    weight[:, 2] *= 10
    weight[:, 5] = 0
    return weight


def restated_group(values: np.ndarray, number_format: NumberFormat, form: str) -> tuple[np.ndarray, np.ndarray, float, int]:
    """One group by itself: codes, real values, scale and zero-point, from the definition of the forms."""
    unit = float(number_format.unit)
    if form == "asymmetric":
        least, greatest = min(values.min(), 0), max(values.max(), 0)
        scale = np.float32((greatest - least) / np.float32(number_format.steps)) or np.float32(1)
        zero_point = int(np.clip(np.round(-least / scale), 0, number_format.steps))
        shifted = number_format.with_zero_point(zero_point)
    else:
        below, above = -number_format.minimum, number_format.maximum
        scale = np.float32(np.abs(values).max() / np.float32(max(below, above) * unit)) or np.float32(1)
        if (values.max() > -values.min()) if below > above else (-values.min() > values.max() and above > below):
            scale = -scale
        zero_point, shifted = 0, number_format
    codes = np.array([shifted.round_one(float(value / scale)) for value in values], dtype=np.uint8)
    real = np.array([shifted.decode_one(int(code)) for code in codes]) * unit * float(scale)
    return codes, real, float(scale), zero_point


def restated(weight: np.ndarray, number_format: NumberFormat, form: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (out, in), real values (out, in) and scales (in, groups) of groups of consecutive outputs of an input."""
    outputs, inputs = weight.shape
    codes, real = np.zeros(weight.shape, np.uint8), np.zeros(weight.shape)
    scales = np.zeros((inputs, outputs // GROUP))
    for channel in range(inputs):
        for group in range(outputs // GROUP):
            rows = slice(GROUP * group, GROUP * (group + 1))
            codes[rows, channel], real[rows, channel], scales[channel, group], _ = restated_group(
                weight[rows, channel], number_format, form
            )
    return codes, real, scales


@EACH
def test_rounding_to_nearest(number_format: NumberFormat, form: str) -> None:
    weight = some_weight()
    codes, real, scales = restated(weight.numpy(), number_format, form)
    quantized = quantize_weights(weight, number_format, form, GROUP, "per-ic")
    assert np.array_equal(quantized.codes, codes)
    assert np.allclose(quantized.scales, scales, rtol=1e-7)
    layer = QuantLinear.from_weights(quantized, None, Scheme(number_format, form, GROUP, grouping="per-ic"))
    assert np.allclose(layer.real_weight(torch.float64), real, rtol=1e-6, atol=0)
    assert torch.equal(layer.unpacked_codes(), quantized.codes)
    assert not layer.fault()
    other = quantize_weights(weight, number_format, form, GROUP // 4).scales
    assert other.shape == (24, 5)


@pytest.mark.parametrize("activations", ["fp32", "int8"])
@EACH
def test_output(number_format: NumberFormat, form: str, activations: str) -> None:
    """Every product is scaled by itself: here in float64, one after the other."""
    weight, bias = some_weight(), torch.linspace(-1, 1, 24)
    x = torch.randn(3, 10, generator=torch.Generator().manual_seed(4)) * torch.tensor([1.0, 30, 1e-3])[:, None]
    linear = torch.nn.Linear(10, 24)
    linear.weight.data, linear.bias.data = weight, bias
    layer = QuantLinear.from_linear(linear, Scheme(number_format, form, GROUP, activations, grouping="per-ic"))
    _, real, _ = restated(weight.numpy(), number_format, form)
    expected = np.zeros((3, 24))
    for token, row in enumerate(x.numpy()):
        scale = np.abs(row).max() / np.float32(127)
        inputs = np.round(row / scale).astype(np.float64) * scale if activations == "int8" else row.astype(np.float64)
        for output in range(24):
            expected[token, output] = bias[output] + sum(inputs[i] * real[output, i] for i in range(10))
    assert np.allclose(layer(x[None])[0].detach(), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
def test_optq_takes_scales_from_the_compensated_column(form: str) -> None:
    """With the inverse of the remaining Hessian computed anew each time, each column's groups rounded when it is reached."""
    generator = torch.Generator().manual_seed(9)
    weight = some_weight(16, 140).double()
    x = torch.randn(300, 20, generator=generator).double() @ torch.randn(20, 140, generator=generator).double()
    x += 0.5 * torch.randn(300, 140, generator=generator)
    x[:, 7] = 0
    found = round_input_channels(weight, hessian_of(x), INT4, form, GROUP)

    hessian = hessian_of(x).numpy()
    hessian[7, 7] = 1
    hessian = hessian + DAMPING * np.diag(hessian).mean() * np.eye(140)
    remaining = weight.numpy().copy()
    remaining[:, 7] = 0
    for index in range(140):
        inverse = np.linalg.inv(hessian[index:, index:])
        column = np.zeros(16)
        for rows in (slice(0, 8), slice(8, 16)):
            group = torch.from_numpy(remaining[rows, index])[None]
            one = quantize_weights(group, INT4, form)
            assert torch.equal(found.codes[rows, index], one.codes[0])
            torch.testing.assert_close(found.scales[index, rows.start // 8], one.scales[0], rtol=1e-7, atol=0)
            shifted = INT4 if one.zero_points is None else INT4.with_zero_point(int(one.zero_points[0]))
            column[rows] = shifted.decode(one.codes[0].numpy()) * float(one.scales[0])
        remaining[:, index:] -= np.outer((remaining[:, index] - column) / inverse[0, 0], inverse[0])
    assert not found.codes[:, 7].any() or form == "asymmetric"


RECIPES = [
    Recipe("dint4", group_size=16, grouping="per-ic"),
    Recipe("int4", rounding="optq", form="asymmetric", group_size=32, grouping="per-ic", activations="fp32"),
    Recipe("int4", rounding="optq", form="asymmetric", group_size=32, grouping="adadim"),
    Recipe("dint4", scaling="smoothquant", group_size=32, grouping="adadim", value_format="dint4", attention="int8"),
    Recipe("dint3", group_size=16, grouping="adadim", activations="fp32"),
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
@pytest.mark.parametrize("family", ["tiny", "llama"])
def test_loaded_model_is_the_measured_one(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, family: str, recipe: Recipe
) -> None:
    loaded: LoadedModel = request.getfixturevalue(family)
    calls: list[None] = []
    quantized = quantize_model(loaded, recipe, windows, lambda: calls.append(None))
    assert len(calls) == calibration_steps(loaded, recipe)
    model, config = load_quantized(save(quantized, loaded, tmp_path / "out"))
    with torch.no_grad():
        assert torch.equal(model(input_ids=windows).logits, quantized.model(input_ids=windows).logits)
    own, other = quantized.model.state_dict(), model.state_dict()
    assert own.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in own.items())
    assert config.recipe == recipe.describe()
    assert config.version == 3
    layers = quantized.layers()
    assert {layer.scheme.group_size for layer in layers.values()} == {recipe.group_size}
    if recipe.grouping == "adadim":
        assert {choice.layer: choice.grouping for choice in quantized.groupings} == config.groupings
        assert {name: layer.scheme.grouping for name, layer in layers.items()} == config.groupings
        assert set(config.groupings) == set(loaded.adapter.linear_names(loaded.model))
    else:
        assert {layer.scheme.grouping for layer in layers.values()} == {"per-ic"}


@pytest.mark.parametrize("activations", ["fp32", "int8"])
def test_choice_is_by_the_output_error_of_each_layer_alone(tiny: LoadedModel, windows: torch.Tensor, activations: str) -> None:
    """Restated with whole models of which one layer is quantized: what its block then puts out."""
    scheme = Scheme(INT4, "asymmetric", 32, activations)
    choices = {choice.layer: choice for choice in choose_groupings(tiny.model, tiny.adapter, windows, scheme)}
    blocks = {"self_attn.q_proj": "self_attn", "self_attn.v_proj": "self_attn", "fc1": "fc1", "fc2": "fc2"}

    def output_of(block: str) -> torch.Tensor:
        outputs: list[Any] = []
        handle = tiny.model.get_submodule(block).register_forward_hook(lambda _module, _args, output: outputs.append(output))
        with torch.no_grad():
            tiny.model(input_ids=windows)
        handle.remove()
        return (outputs[0][0] if isinstance(outputs[0], tuple) else outputs[0]).double()

    for name, block in ((f"{LAYER}.{name}", f"{LAYER}.{block}") for name, block in blocks.items()):
        linear: Any = tiny.model.get_submodule(name)
        reference, errors = output_of(block), []
        for grouping in ("per-oc", "per-ic"):
            replace_module(tiny.model, name, QuantLinear.from_linear(linear, replace(scheme, grouping=grouping)))
            errors.append(float((output_of(block) - reference).square().sum() / reference.square().sum()))
            replace_module(tiny.model, name, linear)
        assert list(choices[name].errors.values()) == pytest.approx(errors, rel=1e-3)
        assert choices[name].grouping == ("per-oc" if errors[0] <= errors[1] else "per-ic")


def test_choice_isolates_what_deserves_it(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """Small weights for large activations are kept among themselves; sizes that go with the output channel are, too."""
    model = copy.deepcopy(tiny.model)
    generator = torch.Generator().manual_seed(1)
    first, second = (model.get_submodule(f"model.decoder.layers.{number}") for number in (0, 1))
    for layer, channels in ((first, 64), (second, 160)):
        spread = torch.exp(0.7 * torch.randn(channels, generator=generator))
        weight = torch.randn(160, 64, generator=generator)
        layer.fc1.weight.copy_(weight * spread if layer is first else weight * spread[:, None])
        layer.final_layer_norm.weight.copy_(1 / spread if layer is first else torch.ones(64))
        layer.final_layer_norm.bias.zero_()
    choices = {one.layer: one for one in choose_groupings(model, tiny.adapter, windows, Scheme(DINT4, group_size=32))}
    by_input, by_output = (choices[f"model.decoder.layers.{number}.fc1"] for number in (0, 1))
    assert by_input.errors["per-ic"] < 0.4 * by_input.errors["per-oc"]
    assert by_output.errors["per-oc"] < 0.9 * by_output.errors["per-ic"]
    assert (by_input.grouping, by_output.grouping) == ("per-ic", "per-oc")


def test_equal_errors_leave_the_groups_in_output_channels() -> None:
    assert GroupingChoice("fc1", {"per-oc": 0.5, "per-ic": 0.5}).grouping == "per-oc"
    assert GroupingChoice("fc1", {"per-oc": 0.5, "per-ic": 0.4}).grouping == "per-ic"


def test_less_output_error_than_either_grouping(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """Of each layer by itself, which is what AdaDim chooses by: and OPTQ's is below that of rounding to nearest."""
    inputs = layer_inputs(tiny.model, tiny.adapter, windows)
    errors: dict[tuple[str, str], float] = {}
    for grouping in ("per-oc", "per-ic", "adadim"):
        for rounding in ("rtn", "optq"):
            recipe = Recipe("int4", "none", rounding, "asymmetric", group_size=32, activations="fp32", grouping=grouping)
            quantized = quantize_model(tiny, recipe, windows)
            total = 0.0
            for name, layer in quantized.layers().items():
                x, weight = inputs[name], tiny.model.get_submodule(name).weight
                total += float((x @ (layer.real_weight() - weight).T).square().sum() / (x @ weight.T).square().sum())
            errors[grouping, rounding] = total
    for grouping in ("per-oc", "per-ic", "adadim"):
        assert errors[grouping, "optq"] < 0.9 * errors[grouping, "rtn"]
    assert errors["adadim", "rtn"] <= 1.02 * min(errors["per-oc", "rtn"], errors["per-ic", "rtn"])


def test_operands_are_those_of_the_groups_in_output_channels(
    tiny: LoadedModel, tiny_directory: Path, windows: torch.Tensor, tmp_path: Path
) -> None:
    """A scale that varies within a sum leaves the hardware no integer accumulator, so that there is nothing to export."""
    quantized = quantize_model(tiny, Recipe("int4", group_size=32, grouping="adadim"), windows)
    protocol = documentation_protocol(tiny, 1)
    whole = [choice.layer for choice in quantized.groupings if choice.grouping == "per-oc"]
    across = [choice.layer for choice in quantized.groupings if choice.grouping == "per-ic"]
    assert whole
    assert across
    exported = export_operands(quantized.model, protocol.windows, {}, tokens=2)
    assert {layer.name.partition("[")[0] for layer in exported.layers} <= set(whole)
    with pytest.raises(InputError, match=r"its groups are per-ic, scaled within a sum"):
        export_operands(quantized.model, protocol.windows, {}, [across[0]], tokens=2)

    out = tmp_path / "out"
    quantize(
        str(tiny_directory), out=out, format="int4", scaling="none", group_size=32, grouping="per-ic", table=False, quiet=True
    )
    assert not (out / "operands.npz").exists()
    with pytest.raises(InputError, match=r"its groups are per-ic"):
        operands(out, out=tmp_path / "operands", quiet=True)
    with pytest.raises(InputError, match=r"compressed-tensors has no place for groups in input channels"):
        export_compressed(out, out=tmp_path / "compressed", quiet=True)
    assert not (tmp_path / "operands").exists()
    assert not (tmp_path / "compressed").exists()


def test_metrics_name_the_choices(tiny_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    recipe = tmp_path / "adadim.toml"
    recipe.write_text('format = "int4"\nform = "asymmetric"\ngroup-size = 32\ngrouping = "adadim"\nactivations = "fp32"\n')
    quantize(str(tiny_directory), out=out, recipe=str(recipe), table=False)
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    choices = json.loads((out / "metrics.json").read_text())["groupings"]
    assert {one["layer"]: one["grouping"] for one in choices} == config["groupings"]
    for one in choices:
        assert one["grouping"] == min(one["output_errors"], key=one["output_errors"].get)
    q = sum(one["grouping"] == "per-ic" for one in choices if one["layer"].endswith("q_proj"))
    assert f"AdaDim, groups per-ic: q_proj {q} of 2, k_proj " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (
            {"grouping": "per-row", "group_size": 32},
            r"grouping is 'per-row': did you mean per-oc\? known are per-oc, per-ic, adadim",
        ),
        ({"grouping": "per-ic"}, r"--grouping per-ic: its groups have a size; give --group-size"),
        ({"grouping": "adadim"}, r"--grouping per-ic: its groups have a size; give --group-size"),
        ({"grouping": "per-ic", "group_size": 32, "clipping": "awq"}, r"clipping is 'awq': it is of groups per-oc"),
        ({"grouping": "adadim", "group_size": 32, "clipping": "awq"}, r"clipping is 'awq': it is of groups per-oc"),
    ],
)
def test_unknown_combinations(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        Recipe("dint4", **choices)


def test_sizes_that_do_not_divide(tiny_directory: Path, tmp_path: Path) -> None:
    """fc1 has 160 outputs and 64 inputs: 64 divides the inputs only."""
    for grouping in ("per-ic", "adadim"):
        with pytest.raises(
            InputError, match=r"--group-size 64: model\.decoder\.layers\.0\.fc\d has 160 (output|input) channels"
        ):
            quantize(str(tiny_directory), out=tmp_path / "out", group_size=64, grouping=grouping, table=False, quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("grouping", ["per-ic", "adadim"])
def test_integers_cannot_execute_them(grouping: str, tiny_directory: Path, tmp_path: Path) -> None:
    message = r"--execution integer: scales of groups per-ic vary within a sum"
    options: dict[str, Any] = {"group_size": 32, "grouping": grouping, "execution": "integer"}
    with pytest.raises(InputError, match=message):
        quantize(str(tiny_directory), out=tmp_path / "out", quiet=True, **options)
    layer = QuantLinear(64, 64, False, Scheme(INT8, group_size=32, grouping="per-ic"))
    with pytest.raises(InputError, match=message):
        layer.execution = "integer"
