# SPDX-License-Identifier: Apache-2.0
"""Models that are refused, each with one line that says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

from golden.artifacts import sha256_file
from golden.errors import InputError
from quant.models import LoadedModel, load_model
from quant.tensor_files import TensorFiles

from .conftest import tiny_model


def copy_of(directory: Path, target: Path) -> Path:
    target.mkdir()
    for file in directory.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    return target


def refused(model: str | Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load_model(model)
    assert "\n" not in str(caught.value)


def test_loaded_as_float32_with_its_hash(tiny: LoadedModel, tiny_directory: Path) -> None:
    assert {tensor.dtype for tensor in tiny.model.state_dict().values()} == {torch.float32}
    assert tiny.sha256 == sha256_file(tiny_directory / "model.safetensors")
    assert (tiny.name, tiny.positions, tiny.window) == ("tiny", 64, 64)
    assert tiny.parameters == sum(p.numel() for p in tiny_model().parameters())
    assert not tiny.model.training


@pytest.mark.parametrize("streamed", [False, True])
def test_sharded_weights(
    tiny: LoadedModel,
    tiny_directory: Path,
    windows: torch.Tensor,
    tmp_path: Path,
    streamed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same model in several files; one of them gone, it is refused."""
    directory = copy_of(tiny_directory, tmp_path / "model")
    (directory / "model.safetensors").unlink()
    tiny_model().half().save_pretrained(directory, max_shard_size="60KB")
    shards = sorted(directory.glob("model-*.safetensors"))
    assert len(shards) > 2
    if streamed:
        monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    loaded = load_model(directory)
    assert (loaded.stream is not None) == streamed
    assert loaded.sha256 != tiny.sha256  # of the list of files
    with torch.no_grad():
        assert torch.equal(loaded.model(input_ids=windows).logits, tiny.model(input_ids=windows).logits)
    shards[-1].unlink()
    refused(directory, "cannot be loaded from")


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("streamed", [False, True])
def test_pickled_weights(
    tiny: LoadedModel,
    tiny_directory: Path,
    windows: torch.Tensor,
    tmp_path: Path,
    shards: int,
    streamed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of models on the hub from before safetensors: the names begin at the decoder, the output matrix is there, too."""
    directory = copy_of(tiny_directory, tmp_path / "model")
    state = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    named = [(name.removeprefix("model."), tensor) for name, tensor in state.items()]
    files = [f"pytorch_model-0000{one}-of-0000{shards}.bin" for one in range(shards)] if shards > 1 else ["pytorch_model.bin"]
    for index, file in enumerate(files):
        torch.save(dict(named[index::shards]), directory / file)
    if shards > 1:
        weight_map = {name: files[index % shards] for index, (name, _) in enumerate(named)}
        (directory / "pytorch_model.bin.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    if streamed:
        monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    loaded = load_model(directory)
    assert (loaded.stream is not None) == streamed
    with torch.no_grad():
        assert torch.equal(loaded.model(input_ids=windows).logits, tiny.model(input_ids=windows).logits)


def test_pickled_files_that_cannot_be_used(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quant.streaming.STREAMED_BYTES", 0)
    directory = copy_of(tiny_directory, tmp_path / "model")
    state = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    weights = directory / "pytorch_model.bin"
    torch.save(state, weights, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match=r"or of a PyTorch older than 1\.6; .* save_pretrained makes it anew"):
        TensorFiles(directory, "m")
    torch.save(state, weights)
    weights.write_bytes(weights.read_bytes()[:5000])
    refused(directory, "cannot be loaded from")
    for content, message in (({"a": print}, "holds more than tensors"), ([1], "holds no tensors by name")):
        torch.save(content, weights)
        with pytest.raises(InputError, match=message):
            TensorFiles(directory, "m")
    weights.unlink()
    index = {"weight_map": {"a": weights.name}}
    (directory / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    refused(directory, "cannot be loaded from")


def test_missing_directory(tmp_path: Path) -> None:
    refused(tmp_path / "none", "no such directory")
    refused(str(tmp_path / "none"), "no such directory")


def test_empty_directory(tmp_path: Path) -> None:
    refused(tmp_path, "the directory is empty")


def test_directory_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    refused(tmp_path, "no config.json")
    refused(tmp_path / "notes.txt", "is a file")
    (tmp_path / "config.json").write_text("{")
    refused(tmp_path, "cannot be read")
    (tmp_path / "config.json").write_text("[]")
    refused(tmp_path, "holds no configuration")


def test_other_families(tmp_path: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=8, n_layer=1, n_head=1)).save_pretrained(tmp_path)
    refused(tmp_path, "model_type is 'gpt2'; supported are llama, opt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"do_layer_norm_before": False}, "post-LayerNorm OPT .*opt-350m"),
        ({"activation_function": "gelu"}, "activation_function is 'gelu'"),
        ({"layer_norm_elementwise_affine": False}, "layer_norm_elementwise_affine"),
    ],
)
def test_members_of_the_family_that_do_not_fit(
    tiny_directory: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    directory = copy_of(tiny_directory, tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, **changes}))
    refused(directory, message)


@pytest.mark.parametrize(("value", "kind"), [(float("nan"), "NaN"), (float("inf"), "infinite"), (float("-inf"), "infinite")])
def test_weights_that_are_not_finite(tiny_directory: Path, tmp_path: Path, value: float, kind: str) -> None:
    directory = copy_of(tiny_directory, tmp_path / "model")
    tensors = load_file(directory / "model.safetensors")
    tensors["model.decoder.layers.1.fc1.weight"][3, 5] = value
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    refused(directory, f"model.decoder.layers.1.fc1.weight contains {kind}")


def test_damaged_and_incomplete_weights(tiny_directory: Path, tmp_path: Path) -> None:
    directory = copy_of(tiny_directory, tmp_path / "model")
    weights = directory / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    refused(directory, "cannot be loaded")
    tensors = load_file(tiny_directory / "model.safetensors")
    del tensors["model.decoder.layers.0.fc2.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    refused(directory, "lacks the weights model.decoder.layers.0.fc2.bias")
    weights.unlink()
    refused(directory, "cannot be loaded")


def test_no_tokenizer(tiny_directory: Path, tmp_path: Path) -> None:
    directory = copy_of(tiny_directory, tmp_path / "model")
    (directory / "tokenizer.json").unlink()
    refused(directory, "no usable tokenizer")


def test_quantized_already(tiny_directory: Path, tmp_path: Path) -> None:
    directory = copy_of(tiny_directory, tmp_path / "model")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "quantization_config": {"quant_method": "dint"}}))
    refused(directory, "quantized already")


def test_hub_name_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    line = (
        r"model nobody/no-such: no such directory, and the hub cannot be reached \(.*\); without a network give a model's dir"
    )
    refused("nobody/no-such", line)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            RepositoryNotFoundError,
            "no such directory, and the hub has none of this name, or a private one; check the name, or give",
        ),
        (GatedRepoError, "no such directory, and the hub gives it only to those who have asked for access"),
    ],
)
def test_what_the_hub_answers(kind: type[HfHubHTTPError], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise kind.__new__(kind, "404 Client Error.\n\nRepository Not Found")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    refused("nobody/no-such", message)


def test_hub_model_is_fetched_configuration_first(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub is played by a function that copies what it is asked for; opt-350m costs no download of weights."""
    cache = tmp_path / "cache"
    cache.mkdir()
    asked: list[list[str]] = []

    def snapshot_download(_name: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        for pattern in allow_patterns:
            for file in tiny_directory.glob(pattern):
                (cache / file.name).write_bytes(file.read_bytes())
        return str(cache)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    loaded = load_model("someone/tiny")
    assert loaded.name == "someone/tiny"
    assert ["model*.safetensors" in patterns for patterns in asked] == [False, False, True]

    config = json.loads((cache / "config.json").read_text())
    (tiny_directory.parent / "post").mkdir()
    post = copy_of(tiny_directory, tmp_path / "post")
    (post / "config.json").write_text(json.dumps({**config, "do_layer_norm_before": False}))
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda _name, allow_patterns: asked.append(allow_patterns) or str(post)
    )
    refused("facebook/opt-350m", "model facebook/opt-350m: post-LayerNorm")
    assert ["model*.safetensors" in patterns for patterns in asked[3:]] == [False]
