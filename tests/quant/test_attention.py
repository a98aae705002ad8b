# SPDX-License-Identifier: Apache-2.0
"""Values in few bits and attention in INT8: against small restatements, causal, and the same after reload."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golden import DINT3, DINT4, FP4_E2M1, INT4, INT8, NumberFormat
from golden.errors import InputError
from quant.attention import ATTENTION, int8_attention
from quant.command import quantize
from quant.evaluation import Evaluator, documentation_protocol
from quant.huggingface import load_quantized
from quant.integers import EXECUTIONS, exact_products
from quant.layers import QuantLinear, use_execution
from quant.models import LoadedModel
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps
from quant.scheme import Scheme
from quant.values import QuantValues
from quant.weights import FORMS, decode, nearest_codes

from .conftest import save

RECIPES = [
    Recipe("dint4", form="asymmetric", value_format="dint4", attention="int8"),
    Recipe("int4", scaling="smoothquant", rounding="optq", value_format="int4"),
    Recipe("dint3", value_format="fp4_e2m1", attention="int8"),
    Recipe("fp4_e2m1", value_format="int8", attention="int8"),
]


def attention_of(quantizer: QuantValues, execution: str = "float") -> torch.nn.Module:
    """Something with a linear layer that makes values by `quantizer`."""
    module = torch.nn.Module()
    layer = QuantLinear(8, len(quantizer.scales), False, Scheme(DINT4))
    layer.output, layer.execution = quantizer, execution
    module.v_proj = layer
    return module


def calibrated(values: torch.Tensor, number_format: NumberFormat, form: str) -> QuantValues:
    """A quantizer for `values` (batch, key heads, keys, channels), each channel of each head in its own range."""
    quantizer = QuantValues(values.shape[1] * values.shape[3], number_format, form)
    quantizer.calibrate(values.transpose(1, 2).flatten(2))
    return quantizer


def through(quantizer: QuantValues, values: torch.Tensor) -> torch.Tensor:
    """`values` (batch, key heads, keys, channels) as an attention gets them."""
    batch, heads, keys, channels = values.shape
    return quantizer(values.transpose(1, 2).flatten(2)).view(batch, keys, heads, channels).transpose(1, 2)


def decoded(quantizer: QuantValues, values: torch.Tensor, head: int) -> tuple[np.ndarray, np.ndarray]:
    """Integers (keys, channels) of `values` (1, key heads, keys, channels) in a head, and what a unit of them stands for."""
    channels = slice(head * values.shape[3], (head + 1) * values.shape[3])
    scales = quantizer.scales[channels]
    zero_points = None if quantizer.zero_points is None else quantizer.zero_points[channels]
    codes = nearest_codes(values[0, head].T, quantizer.number_format, scales, zero_points)
    integers = decode(codes, quantizer.number_format, zero_points).T.numpy().astype(np.int64)
    return integers, scales.double().numpy() * float(quantizer.number_format.unit)


def restated(query: np.ndarray, key: np.ndarray, value: np.ndarray, value_scales: np.ndarray, scaling: float) -> np.ndarray:
    """Causal attention of one head, token by token: integers (`value`, too), their sums in integers, then scales."""

    def quantized(x: np.ndarray) -> tuple[np.ndarray, float]:
        scale = np.abs(x).max() / np.float32(127)
        return np.round(x / scale).astype(np.int64), float(scale)

    outputs = []
    for token in range(len(query)):
        q, q_scale = quantized(query[token])
        pairs = [quantized(one) for one in key[: token + 1]]
        scores = np.array([int(q @ k) * q_scale * k_scale * scaling for k, k_scale in pairs])
        weights = np.exp(scores - scores.max())
        p, p_scale = quantized((weights / weights.sum()).astype(np.float32))
        outputs.append((p @ value[: token + 1]) * p_scale * value_scales)
    return np.stack(outputs)


@pytest.mark.parametrize(("number_format", "form"), [(DINT4, "symmetric"), (DINT4, "asymmetric"), (INT8, "asymmetric")])
def test_attention_is_the_restated_one(number_format: NumberFormat, form: str) -> None:
    """Four heads on two heads of keys and values. One token may have a probability next to a tie, a step of 1/127 away."""
    generator = torch.Generator().manual_seed(3)
    query = 3 * torch.randn(1, 4, 12, 8, generator=generator)
    key, value = (torch.randn(1, 2, 12, 8, generator=generator) for _ in range(2))
    quantizer = calibrated(value, number_format, form)
    mask = torch.full((12, 12), torch.finfo(torch.float32).min).triu(1)[None, None]
    given = query, key, through(quantizer, value), mask, 8**-0.5
    output, probabilities = int8_attention(attention_of(quantizer), *given)
    assert output.shape == (1, 12, 4, 8)
    assert probabilities.shape == (1, 4, 12, 12)
    assert not probabilities.triu(1).any()
    apart = 0
    for head in range(4):
        integers, scales = decoded(quantizer, value, head // 2)
        expected = restated(query[0, head].numpy(), key[0, head // 2].numpy(), integers, scales, 8**-0.5)
        difference = np.abs(output[0, :, head].numpy() - expected)
        apart += int((difference.max(axis=1) > 2e-6).sum())
        assert difference.max() < np.abs(value.numpy()).max() / 127
    assert apart <= 1
    exact = torch.nn.functional.scaled_dot_product_attention(*given[:3], is_causal=True, enable_gqa=True)
    error = (output.transpose(1, 2) - exact).square().sum() / exact.square().sum()
    assert 0 < float(error) < 1e-3


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number_format", [INT8, DINT4, INT4], ids=lambda one: one.name)
def test_attention_adds_integers_exactly(number_format: NumberFormat, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal probabilities over so many keys that INT8 sums exceed 2^24: the sums are those of 64-bit integers."""
    keys, heads, channels = 2000, 2, 4
    generator = torch.Generator().manual_seed(4)
    value = torch.rand(1, heads, keys, channels, generator=generator) + 0.5
    value[:, :, 0] = -0.1  # asymmetric ranges reach a little below zero
    quantizer = calibrated(value, number_format, form)
    query, key = torch.zeros(1, heads, 3, channels), torch.randn(1, heads, keys, channels, generator=generator)
    sums: dict[str, list[torch.Tensor]] = {}

    def recorded(*arguments: Any) -> torch.Tensor:
        found = exact_products(*arguments)
        sums.setdefault(arguments[-1], []).append(found)
        return found

    monkeypatch.setattr("quant.attention.exact_products", recorded)
    outputs = [
        int8_attention(attention_of(quantizer, execution), query, key, through(quantizer, value), None, 1.0)[0]
        for execution in EXECUTIONS
    ]
    assert torch.equal(*outputs)
    assert [one.dtype for one in sums["integer"]] == [torch.int32, torch.int32]
    assert all(torch.equal(one.to(torch.int64), other.to(torch.int64)) for one, other in zip(*sums.values(), strict=True))
    expected = np.stack([127 * decoded(quantizer, value, head)[0].sum(axis=0) for head in range(heads)])
    assert np.array_equal(sums["float"][1][0].numpy(), np.repeat(expected[:, None], 3, axis=1))
    if number_format is INT8:
        assert np.abs(expected).max() > 1 << 24


@pytest.mark.parametrize("form", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("number_format", [INT8, INT4, DINT4, DINT3], ids=lambda one: one.name)
def test_values_are_the_nearest(number_format: NumberFormat, form: str) -> None:
    """By brute force over all that the codes of the channel stand for; what is beyond the calibrated range saturates."""
    generator = torch.Generator().manual_seed(5)
    calibrated, values = (torch.randn(2, 9, 6, generator=generator) * torch.rand(6, generator=generator) for _ in range(2))
    quantizer = QuantValues(6, number_format, form)
    quantizer.calibrate(calibrated)
    result = quantizer(values)
    assert result.shape == values.shape
    for channel in range(6):
        one = number_format
        if form == "asymmetric":
            assert quantizer.zero_points is not None
            one = number_format.with_zero_point(int(quantizer.zero_points[channel]))
        table = torch.tensor(one.values, dtype=torch.float64) * float(one.unit) * float(quantizer.scales[channel])
        distances = (values[..., channel].double().reshape(-1, 1) - table).abs()
        nearest = table[distances.argmin(dim=1)]
        torch.testing.assert_close(result[..., channel].flatten().double(), nearest, rtol=1e-6, atol=1e-7)
    beyond = quantizer(1000 * torch.ones(1, 6))
    extremes = quantizer(torch.full((1, 6), 1e6))
    assert torch.equal(beyond, extremes)


@pytest.mark.parametrize("family", ["tiny", "llama"])
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_reload_is_the_measured_model(
    request: pytest.FixtureRequest, windows: torch.Tensor, tmp_path: Path, recipe: Recipe, family: str
) -> None:
    loaded: LoadedModel = request.getfixturevalue(family)
    steps: list[None] = []
    quantized = quantize_model(loaded, recipe, windows, lambda: steps.append(None))
    assert len(steps) == calibration_steps(loaded, recipe)
    model, config = load_quantized(save(quantized, loaded, tmp_path / "out"))
    assert config.recipe == recipe.describe()
    assert (model.config._attn_implementation == ATTENTION) == (recipe.attention == "int8")
    with torch.no_grad():
        logits = quantized.model(input_ids=windows).logits
        assert torch.equal(model(input_ids=windows).logits, logits)
        use_execution(model, "integer")
        assert torch.equal(model(input_ids=windows).logits, logits)
    assert loaded.model.config._attn_implementation != ATTENTION  # the unquantized model keeps its own
    assert not any(module._forward_hooks for module in quantized.model.modules())


@pytest.mark.parametrize("family", ["tiny", "llama"])
def test_no_token_sees_a_later_one(request: pytest.FixtureRequest, windows: torch.Tensor, family: str) -> None:
    loaded: LoadedModel = request.getfixturevalue(family)
    model = quantize_model(loaded, RECIPES[0], windows).model
    other = windows.clone()
    other[:, 40:] = windows.flip(0)[:, 40:]
    with torch.no_grad():
        first, second = (model(input_ids=tokens).logits for tokens in (windows, other))
    assert torch.equal(first[:, :40], second[:, :40])
    assert not torch.equal(first[:, 40:], second[:, 40:])


def test_what_it_costs(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """Eight bits for values and attention cost little beside the weights; four bits for the values cost something."""
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 24))
    attention = {"plain": {}, "V8": {"value_format": "int8", "attention": "int8"}, "V4": {"value_format": "dint4"}}
    kl = {}
    for name, choices in attention.items():
        recipe = Recipe("dint4", scaling="smoothquant", **choices)  # type: ignore[arg-type]
        score = evaluator.score(quantize_model(tiny, recipe, windows).model)
        assert score.kl is not None
        kl[name] = score.kl
    assert abs(kl["V8"] - kl["plain"]) < 0.1 * kl["plain"]
    assert kl["V4"] > 1.02 * kl["plain"]


def test_names_say_it() -> None:
    assert Recipe("dint4", value_format="dint4").name == "W4A8V4 dINT4"
    assert Recipe("int4", value_format="int8", attention="int8").name == "W4A8V8 INT4, values INT8, INT8 attention"
    assert Recipe("dint4", value_format="DINT4").value_format == "dint4"
    assert Recipe("dint4").values is None


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"attention": "int8"}, "attention is 'int8': it multiplies values in integers; give them a value_format"),
        ({"attention": "int4"}, r"attention is 'int4': did you mean int8\? known are fp32, int8"),
        ({"value_format": "dint5"}, "unknown format 'dint5': did you mean dint4"),
        ({"value_format": "dint4", "activations": "fp32"}, "with activations in fp32 only weights are quantized"),
        ({"value_format": FP4_E2M1.name, "form": "asymmetric"}, "FP4 E2M1 takes no zero-point"),
    ],
)
def test_choices_that_do_not_go_together(choices: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Recipe("dint4", **choices)  # type: ignore[arg-type]


def test_a_row_of_the_paper(tiny_directory: Path, tmp_path: Path) -> None:
    """By name, from the command: the choices are recorded, the other rows stay what they are, the operands are written."""
    out = tmp_path / "out"
    options = {"recipe": "w4a8v4-dint4-aqas-optq", "scaling": "smoothquant", "clipping": "none", "windows": 3}
    metrics = quantize(str(tiny_directory), out=out, **options, quiet=True)  # type: ignore[arg-type]
    names = [row["name"] for row in metrics["rows"]]
    assert names[-2:] == [f"W4A8V4 {name}, asymmetric, SmoothQuant, OPTQ, INT8 attention" for name in ("INT4", "dINT4")]
    assert [row["attention"] for row in metrics["rows"]] == ["fp32"] * 8 + ["int8"] * 2
    assert [row["value_format"] for row in metrics["rows"][-2:]] == ["int4", "dint4"]
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert (config["value_format"], config["attention"]) == ("dint4", "int8")
    assert (out / "operands.npz").is_file()


@pytest.mark.parametrize("family", ["tiny", "llama"])
def test_a_cache_changes_nothing(request: pytest.FixtureRequest, windows: torch.Tensor, family: str) -> None:
    """Token by token with cached keys and values, the logits are those of the whole sequence; a padded batch runs as well."""
    loaded: LoadedModel = request.getfixturevalue(family)
    model = quantize_model(loaded, RECIPES[0], windows).model
    tokens = windows[:2, :24]
    with torch.no_grad():
        whole = model(input_ids=tokens, use_cache=False).logits
        cache, steps = None, []
        for position in range(tokens.shape[1]):
            result = model(input_ids=tokens[:, position : position + 1], past_key_values=cache, use_cache=True)
            cache = result.past_key_values
            steps.append(result.logits)
        mask = torch.ones_like(tokens)
        mask[0, :8] = 0
        padded = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    # The last bits of a sum depend on how many tokens are multiplied at once; next to a tie, a token may be a step away.
    difference = (torch.cat(steps, dim=1) - whole).abs().amax(dim=-1) / whole.abs().max()
    assert int((difference > 1e-5).sum()) <= 2
    assert float(difference.max()) < 0.05
    assert torch.equal(padded[1], whole[1])
    assert not torch.equal(padded[0, 8:], whole[0, 8:])
