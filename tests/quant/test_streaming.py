# SPDX-License-Identifier: Apache-2.0
"""Models whose decoder layers are in memory only while they run: the same results, bit for bit, and less memory."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from golden.artifacts import sha256_file
from golden.errors import InputError
from quant.command import quantize
from quant.evaluation import Evaluator, documentation_protocol
from quant.export import export_operands
from quant.huggingface import load_quantized
from quant.models import LoadedModel, load_model
from quant.output_error import layer_inputs, output_errors
from quant.quantization import quantize_model
from quant.recipe import Recipe, calibration_steps

from .conftest import save

RECIPES = [
    Recipe("dint4", scaling="aqas", rounding="optq"),
    Recipe("int4", scaling="smoothquant", form="asymmetric", group_size=32),
    Recipe("dint4", scaling="awq", clipping="awq", form="asymmetric", value_format="dint4", attention="int8"),
    Recipe("dint3", rounding="optq", activations="fp32"),
    Recipe("int4", scaling="smoothquant", rounding="optq", group_size=32, grouping="adadim"),
    Recipe("mxfp4", scaling="smoothquant", rounding="optq"),
    Recipe("nvfp4", scaling="aqas", activations="nvfp4"),
]


@pytest.fixture
def streamed(tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """The tiny model, as a large one is loaded."""
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    return load_model(tiny_directory)


def layers_in_memory(model: torch.nn.Module) -> list[str]:
    layers = model.get_submodule("model.decoder.layers").named_children()
    return [name for name, layer in layers if any(not tensor.is_meta for tensor in layer.state_dict().values())]


def test_one_layer_at_a_time(streamed: LoadedModel, tiny: LoadedModel, windows: torch.Tensor) -> None:
    seen = []
    for _, layer in streamed.adapter.decoder_layers(streamed.model):
        layer.register_forward_hook(lambda *_: seen.append(layers_in_memory(streamed.model)))
    assert layers_in_memory(streamed.model) == []
    with torch.no_grad():
        assert torch.equal(streamed.model(input_ids=windows).logits, tiny.model(input_ids=windows).logits)
    assert seen == [["0"], ["1"]]
    assert (streamed.parameters, streamed.sha256) == (tiny.parameters, tiny.sha256)


def test_llama_too(llama_directory: Path, llama: LoadedModel, windows: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rotary tables are made, not read."""
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    streamed = load_model(llama_directory)
    with torch.no_grad():
        assert torch.equal(streamed.model(input_ids=windows).logits, llama.model(input_ids=windows).logits)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_quantized_as_in_memory(
    streamed: LoadedModel, tiny: LoadedModel, windows: torch.Tensor, tmp_path: Path, recipe: Recipe
) -> None:
    """Files, logits, scores, output errors and operands; and the directory loads either way."""
    steps: list[None] = []
    expected = quantize_model(tiny, recipe, windows)
    quantized = quantize_model(streamed, recipe, windows, lambda: steps.append(None), tmp_path / "work")
    assert len(steps) == calibration_steps(streamed, recipe)
    assert layers_in_memory(streamed.model) == layers_in_memory(quantized.model) == []
    directory = save(quantized, streamed, tmp_path / "out")
    files = sorted(directory.glob("*.safetensors"))
    assert [file.name for file in files] == [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
    state = {name: tensor for name, tensor in expected.model.state_dict().items() if name != "lm_head.weight"}
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in tensors.items())
    with torch.no_grad():
        logits = expected.model(input_ids=windows).logits
        assert torch.equal(quantized.model(input_ids=windows).logits, logits)
        read, _ = load_quantized(directory)
        assert layers_in_memory(read) == []
        assert torch.equal(read(input_ids=windows).logits, logits)
        with pytest.MonkeyPatch.context() as large:
            large.setattr("quant.streaming.STREAMED_BYTES", 1 << 30)
            read, _ = load_quantized(directory)
        assert layers_in_memory(read) == ["0", "1"]
        assert torch.equal(read(input_ids=windows).logits, logits)
    protocol = documentation_protocol(tiny, 2)
    assert Evaluator(streamed.model, protocol).score(quantized.model) == Evaluator(tiny.model, protocol).score(expected.model)
    assert quantized.scales == () or torch.equal(quantized.scales[-1].scale, expected.scales[-1].scale)
    kept = layer_inputs(streamed.model, streamed.adapter, windows[:1], tmp_path)
    inputs = layer_inputs(tiny.model, tiny.adapter, windows[:1])
    assert list(kept) == list(inputs)
    assert output_errors(streamed.model, quantized, kept) == output_errors(tiny.model, expected, inputs)
    if recipe.activations == "int8":
        export_operands(quantized.model, windows, {}, tokens=8).save(tmp_path / "streamed.npz")
        export_operands(expected.model, windows, {}, tokens=8).save(tmp_path / "memory.npz")
        assert (tmp_path / "streamed.npz").read_bytes() == (tmp_path / "memory.npz").read_bytes()


@pytest.mark.parametrize("recipe", [RECIPES[0], RECIPES[2]], ids=lambda recipe: recipe.name)
def test_interrupted_and_resumed(
    streamed: LoadedModel, windows: torch.Tensor, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after every step, it ends with the same bytes, and nothing is searched or rounded twice."""
    whole = save(quantize_model(streamed, recipe, windows, work=tmp_path / "whole"), streamed, tmp_path / "once")
    searched: list[str] = []
    method = recipe.scaling
    from quant import scaling

    search = scaling.METHODS[method]
    monkeypatch.setitem(scaling.METHODS, method, lambda block: searched.append(block.layer_name) or search(block))
    for steps in range(1, calibration_steps(streamed, recipe) + 1):
        taken: list[None] = []

        def interrupt(taken: list[None] = taken, steps: int = steps) -> None:
            taken.append(None)
            if len(taken) == steps:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quantize_model(streamed, recipe, windows, interrupt, tmp_path / "work")
    quantized = quantize_model(streamed, recipe, windows, work=tmp_path / "work")
    assert len(searched) == 2 * 4
    directory = save(quantized, streamed, tmp_path / "resumed")
    names = sorted(file.name for file in whole.iterdir())
    assert names == sorted(file.name for file in directory.iterdir())
    assert all((whole / name).read_bytes() == (directory / name).read_bytes() for name in names)


def test_folders_of_others_are_not_taken(streamed: LoadedModel, windows: torch.Tensor, tmp_path: Path) -> None:
    """Another recipe or other windows have a folder of their own."""
    for recipe, chosen in ((Recipe("int4"), windows), (Recipe("dint4"), windows), (Recipe("int4"), windows[:4])):
        before = len(list(tmp_path.iterdir()))
        quantize_model(streamed, recipe, chosen, work=tmp_path)
        assert len(list(tmp_path.iterdir())) == before + 1
    quantize_model(streamed, Recipe("int4"), windows, work=tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_files_without_the_first_part_of_names_and_in_float32(
    tmp_path: Path, tiny_directory: Path, tiny: LoadedModel, windows: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from a model saved without its head."""
    for file in tiny_directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tensors = load_file(tiny_directory / "model.safetensors")
    renamed = {name.removeprefix("model."): tensor.float() for name, tensor in tensors.items()}
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    streamed = load_model(tmp_path)
    with torch.no_grad():
        assert torch.equal(streamed.model(input_ids=windows).logits, tiny.model(input_ids=windows).logits)


def test_damaged_files(tmp_path: Path, tiny_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    for file in tiny_directory.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    tensors = load_file(weights)

    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message) as caught:
            load_model(tmp_path)
        assert "\n" not in str(caught.value)

    weights.write_bytes(weights.read_bytes()[:-100])
    refused(r"model .*: cannot be loaded from .*model\.safetensors \(")
    name = "model.decoder.layers.1.fc1.weight"
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, weights)
    refused(f"lacks the weights {name}")
    save_file({**tensors, name: tensors[name][:, :5].contiguous()}, weights)
    refused(r"model\.decoder\.layers\.1 does not fit its configuration")
    tensors[name][3, 4] = float("nan")
    save_file(tensors, weights)
    refused(f"{name} contains NaN")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {name: "none.safetensors"}}))
    refused(r"none\.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text("{")
    refused(r"index\.json")


def test_without_a_folder_the_files_last_as_long_as_the_model(
    streamed: LoadedModel, tiny: LoadedModel, windows: torch.Tensor
) -> None:
    quantized = quantize_model(streamed, Recipe("int4"), windows)
    model, files = quantized.model, quantized.files
    del quantized
    gc.collect()
    with torch.no_grad():
        expected = quantize_model(tiny, Recipe("int4"), windows).model(input_ids=windows).logits
        assert torch.equal(model(input_ids=windows).logits, expected)
    del model
    gc.collect()
    assert len(files) == 2
    assert not any(file.exists() for file in files)


def test_command_goes_on_after_an_interruption(streamed: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is finished waits beside `out`, which is not touched before the end; afterwards nothing is beside it."""
    whole, out = tmp_path / "whole" / "out", tmp_path / "parts" / "out"

    def run(directory: Path) -> None:
        quantize(str(streamed.directory), out=directory, scaling="smoothquant", rounding="optq", table=False, quiet=True)

    run(whole)
    assert [entry.name for entry in whole.parent.iterdir()] == ["out"]
    with monkeypatch.context() as interrupted:
        interrupted.setattr("quant.export.write_operands", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(out)
    assert [entry.name for entry in out.parent.iterdir()] == [".out.unfinished"]
    with monkeypatch.context() as finished:
        finished.setattr("quant.quantization.round_compensated", None)  # everything is rounded already
        run(out)
    assert [entry.name for entry in out.parent.iterdir()] == ["out"]
    assert {file.name for file in out.iterdir()} == {file.name for file in whole.iterdir()}
    for file in whole.iterdir():
        assert sha256_file(file) == sha256_file(out / file.name), file.name
