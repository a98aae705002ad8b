# SPDX-License-Identifier: Apache-2.0
"""SmoothQuant and AWQ against their papers' formulas, written out on the inputs of the unquantized model."""

from __future__ import annotations

import copy

import pytest
import torch

from golden import DINT4, INT4
from quant.block import GroupScale
from quant.evaluation import Evaluator, documentation_protocol
from quant.models import LoadedModel
from quant.output_error import layer_inputs
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.scaling import search_scales
from quant.scheme import Scheme
from quant.weights import decode, quantize_weights


@pytest.fixture(scope="module")
def inputs(tiny: LoadedModel, windows: torch.Tensor) -> dict[str, torch.Tensor]:
    return layer_inputs(tiny.model, tiny.adapter, windows)


def weight_of(tiny: LoadedModel, name: str) -> torch.Tensor:
    return tiny.model.get_submodule(name).weight


def test_smoothquant_is_its_formula(tiny: LoadedModel, windows: torch.Tensor, inputs: dict[str, torch.Tensor]) -> None:
    """s_j = max|X_j|^0.5 / max|W_j|^0.5 for q, k, v jointly and for fc1; nothing else is scaled."""
    found = search_scales(tiny.model, tiny.adapter, windows, "smoothquant", Scheme(DINT4))
    prefix = "model.decoder.layers"
    assert [(one.producer, len(one.consumers)) for one in found] == [
        (f"{prefix}.{layer}.{name}", consumers)
        for layer in range(2)
        for name, consumers in (("self_attn_layer_norm", 3), ("final_layer_norm", 1))
    ]
    for one in found:
        x = inputs[one.consumers[0]]
        joint = torch.cat([weight_of(tiny, name) for name in one.consumers])
        for channel in range(x.shape[1]):
            expected = (float(x[:, channel].abs().max()) / float(joint[:, channel].abs().max())) ** 0.5
            assert float(one.scale[channel]) == pytest.approx(expected, rel=1e-5)


def test_smoothquant_of_dead_channels_is_finite(tiny: LoadedModel, windows: torch.Tensor) -> None:
    model = copy.deepcopy(tiny.model)
    norm = model.get_submodule("model.decoder.layers.0.final_layer_norm")
    norm.weight[5], norm.bias[5] = 0, 0
    model.get_submodule("model.decoder.layers.0.fc1").weight[:, 6] = 0
    for one in search_scales(model, tiny.adapter, windows[:1], "smoothquant", Scheme(DINT4)):
        assert torch.isfinite(one.scale).all()
        assert (one.scale > 0).all()


def awq_loss(weight: torch.Tensor, x: torch.Tensor, scale: torch.Tensor) -> float:
    """|| Q(W diag(s)) diag(s)^-1 X - W X ||^2, the activations being real numbers."""
    quantized = quantize_weights(weight * scale, INT4, "symmetric")
    approximation = decode(quantized.codes, INT4, None) * quantized.scales[:, None] / scale
    return float((x.double() @ (approximation - weight).double().T).square().sum())


def test_awq_is_its_formula(tiny: LoadedModel, windows: torch.Tensor, inputs: dict[str, torch.Tensor]) -> None:
    """The best of s = mean|X|^r, r = 0, 0.05, ... 0.95, for every group whose block is the linear layer itself."""
    found = search_scales(tiny.model, tiny.adapter, windows, "awq", Scheme(INT4))
    assert len(found) == 8
    for one in found:
        assert one.loss is not None
        assert one.unscaled_loss is not None
        assert one.loss <= one.unscaled_loss
        assert one.beta == 0
        if one.group.block == "self_attn":
            continue
        weight, x = weight_of(tiny, one.consumers[0]), inputs[one.consumers[0]]
        mean = x.abs().mean(0)
        scales, losses = [], []
        for ratio in range(20):
            scale = (mean ** (ratio / 20)).clamp(min=1e-4)
            scales.append(scale / (scale.max() * scale.min()).sqrt())
            losses.append(awq_loss(weight, x, scales[-1]))
        best = losses.index(min(losses))
        assert one.alpha == best / 20
        torch.testing.assert_close(one.scale, scales[best])
        bias = tiny.model.get_submodule(one.consumers[0]).bias
        energy = float((x.double() @ weight.double().T + bias.double()).square().sum())
        assert one.loss == pytest.approx(losses[best] / energy, rel=1e-3)


def test_awq_judges_attention_by_its_output(tiny: LoadedModel, windows: torch.Tensor) -> None:
    """Of all 20 scales for q, k and v, the one chosen has the least error of the attention's output, measured by hooks."""
    one: GroupScale = search_scales(tiny.model, tiny.adapter, windows, "awq", Scheme(INT4))[0]
    mean = layer_inputs(tiny.model, tiny.adapter, windows)[one.consumers[0]].abs().mean(0)
    losses = []
    for ratio in (None, *range(20)):
        model = copy.deepcopy(tiny.model)
        if ratio is not None:
            scale = (mean ** (ratio / 20)).clamp(min=1e-4)
            for name in one.consumers:
                linear = model.get_submodule(name)
                quantized = quantize_weights(linear.weight * scale, INT4, "symmetric")
                linear.weight.copy_(decode(quantized.codes, INT4, None) * quantized.scales[:, None] / scale)
        outputs: list[torch.Tensor] = []
        attention = model.get_submodule(f"{one.layer}.self_attn")
        attention.register_forward_hook(lambda _module, _args, output, kept=outputs: kept.append(output[0].double()))
        with torch.no_grad():
            model(input_ids=windows)
        losses.append(outputs[0])
    errors = [float((output - losses[0]).square().sum() / losses[0].square().sum()) for output in losses[1:]]
    assert one.alpha == errors.index(min(errors)) / 20
    assert one.loss == pytest.approx(min(errors), rel=1e-3)


def test_awq_does_not_depend_on_the_activations_format(tiny: LoadedModel, windows: torch.Tensor) -> None:
    first, second = (
        search_scales(tiny.model, tiny.adapter, windows[:2], "awq", Scheme(DINT4, activations=kind))
        for kind in ("int8", "fp32")
    )
    assert all(torch.equal(one.scale, other.scale) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("scaling", ["smoothquant", "awq"])
def test_outlier_channels_are_tamed(tiny: LoadedModel, windows: torch.Tensor, scaling: str) -> None:
    evaluator = Evaluator(tiny.model, documentation_protocol(tiny, 24))
    plain, scaled = (
        evaluator.score(quantize_model(tiny, Recipe("dint4", scaling=one), windows).model) for one in ("none", scaling)
    )
    assert plain.kl is not None
    assert scaled.kl is not None
    assert plain.kl_standard_error is not None
    assert scaled.kl < plain.kl - 3 * plain.kl_standard_error
