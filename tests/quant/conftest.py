# SPDX-License-Identifier: Apache-2.0
"""A tiny OPT and a tiny LLaMA with what matters here (outlier channels, heavy tails), on disk as users have theirs."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM, PreTrainedModel

import dint
from quant.block import GroupScale
from quant.calibration import SEARCH_TOKENS
from quant.corpus import training_topics
from quant.huggingface import save_quantized
from quant.models import LoadedModel, load_model
from quant.quantization import QuantizedModel
from quant.training import VOCABULARY, train_tokenizer

POSITIONS = 64

# The models are so small that threads cost more than they gain; child processes must add in the same order.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)


@pytest.fixture(scope="package", autouse=True)
def few_tokens_are_searched() -> Iterator[None]:
    """Scales are searched on an eighth of the tokens: these searches were most of the time that these tests took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("quant.calibration.SEARCH_TOKENS", SEARCH_TOKENS // 8)
        yield


def tiny_model(**changes: Any) -> OPTForCausalLM:
    """Two layers of 64 channels. Weights spread as in trained models, some LayerNorm channels ten times the others."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "word_embed_proj_dim": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "ffn_dim": 160,
        "max_position_embeddings": POSITIONS,
        "dropout": 0.1,
        "activation_function": "relu",
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    torch.manual_seed(7)
    model = OPTForCausalLM(OPTConfig(**{**settings, **changes}))
    _as_if_trained(model)
    return model.eval()


def tiny_llama(**changes: Any) -> LlamaForCausalLM:
    """Two layers of 64 channels with 4 query heads and 2 heads of keys and values, in the same way."""
    settings: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 160,
        "max_position_embeddings": POSITIONS,
        "tie_word_embeddings": False,
        "bos_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 1,
    }
    torch.manual_seed(7)
    model = LlamaForCausalLM(LlamaConfig(**{**settings, **changes}))
    _as_if_trained(model)
    return model.eval()


def _as_if_trained(model: PreTrainedModel) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.copy_(torch.exp(0.3 * torch.randn_like(parameter)))
                parameter[:3] *= 10
            elif parameter.ndim == 2 and ".layers." in name:
                parameter.mul_(5 * torch.exp(0.4 * torch.randn(parameter.shape[1])))
            elif "embed_tokens" in name:
                parameter.mul_(5)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.1)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Trained on Python's documentation, as the shipped checkpoint's is in part."""
    return train_tokenizer(training_topics())


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """The tiny model as a Hugging Face directory, fp16."""
    directory = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().half().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def tiny(tiny_directory: Path) -> LoadedModel:
    """The tiny model, loaded. Tests must not change it."""
    return load_model(tiny_directory)


@pytest.fixture(scope="session")
def llama_directory(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """The tiny LLaMA as a Hugging Face directory, fp16."""
    directory = tmp_path_factory.mktemp("models") / "llama"
    tiny_llama().half().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def llama(llama_directory: Path) -> LoadedModel:
    """The tiny LLaMA, loaded. Tests must not change it."""
    return load_model(llama_directory)


@pytest.fixture(scope="session")
def windows(tiny: LoadedModel) -> torch.Tensor:
    """Eight calibration windows of 64 tokens."""
    from quant.calibration import calibration_windows

    return calibration_windows(tiny.tokenizer, tiny.positions, 64).windows[:8]


def hessian_of(x: torch.Tensor) -> torch.Tensor:
    """H = 2/N sum x x^T (in, in) of the inputs `x` (tokens, in)."""
    return 2 * x.T @ x / len(x)


def random_scales(loaded: LoadedModel) -> list[GroupScale]:
    """A random scale, from 1/20 to 20, for every group, equal where one channel of the producer is read more than once."""
    generator = torch.Generator().manual_seed(8)
    scales = []
    for name, layer in loaded.adapter.decoder_layers(loaded.model):
        for group in loaded.adapter.groups:
            sources = group.sources(layer)
            scale = torch.exp(3 * (2 * torch.rand(int(sources.max()) + 1, generator=generator) - 1))
            scales.append(GroupScale(name, group, scale[sources], 0, 0))
    return scales


def save(quantized: QuantizedModel, loaded: LoadedModel, directory: Path) -> Path:
    """The directory, new, of a quantized model."""
    directory.mkdir()
    save_quantized(quantized, loaded.tokenizer, directory, {"name": loaded.name, "sha256": loaded.sha256}, {"seed": 0})
    return directory


@pytest.fixture
def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs `dint` with arguments as the shell gives them, in this process; returns exit code and standard error."""

    def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        handler, hook, code = signal.getsignal(signal.SIGTERM), sys.unraisablehook, 0
        monkeypatch.setattr(sys, "argv", ["dint", *arguments])
        try:
            dint.main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            signal.signal(signal.SIGTERM, handler)
            sys.unraisablehook = hook
        return code, capsys.readouterr().err

    return run
