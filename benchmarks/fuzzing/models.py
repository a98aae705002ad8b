# SPDX-License-Identifier: Apache-2.0
"""What is fuzzed on the side of the models: recipes, model directories, directories of quantized models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from golden import FORMATS, VARIANTS

from . import mutations
from .engine import Case, Garbage, Target

__all__ = ["TARGETS", "tiny_model", "tiny_quantized"]

_RECIPE = """
format = "dint4"  # comment
scaling = "aqas"
rounding = "optq"
clipping = "awq"
form = "asymmetric"
group-size = 32
activations = "int8"
value-format = "dint4"
attention = "int8"
calibration-length = 128
"""


def _recipe(words: list[str], rng: Random, folder: Path) -> Case:
    from quant.recipe import ATTENTIONS, CLIPPINGS, RECIPE_GROUPINGS, ROUNDINGS, SCALINGS, Recipe
    from quant.recipes import read_recipe
    from quant.scheme import ACTIVATIONS
    from quant.weights import FORMS

    path = folder / "mine.toml"
    mutations.spoilt_file(path, words, rng)
    options = {}
    if rng.random() < 0.3:
        options = {rng.choice(("scaling", "group-size", "form", "calibration-length")): rng.choice(mutations.VALUES[:-1])}
    if options and type(next(iter(options.values()))) not in (str, int):  # the command line gives no others
        options = {}

    def check(read: tuple[Recipe, int | None]) -> None:
        recipe, length = read
        for what, value, known in (
            ("weights", recipe.weights, {**FORMATS, **VARIANTS}),
            ("scaling", recipe.scaling, SCALINGS),
            ("rounding", recipe.rounding, ROUNDINGS),
            ("form", recipe.form, FORMS),
            ("clipping", recipe.clipping, CLIPPINGS),
            ("activations", recipe.activations, ACTIVATIONS),
            ("value_format", recipe.value_format, {"none": None, **FORMATS, **VARIANTS}),
            ("attention", recipe.attention, ATTENTIONS),
            ("grouping", recipe.grouping, RECIPE_GROUPINGS),
        ):
            if value not in known:
                raise Garbage(f"{what}: {value!r}")
        for what, number in (("group size", recipe.group_size), ("calibration length", length)):
            if number is not None and (type(number) is not int or number < 1):
                raise Garbage(f"{what}: {number!r}")
        if Recipe(**recipe.describe()) != recipe:
            raise Garbage("describe: not the recipe")

    return Case(lambda: read_recipe(str(path), options), check)


# Model directories


@dataclass(frozen=True)
class _Models:
    directories: tuple[Path, ...]
    load: Callable[[Path], Any]  # what is fuzzed; its result is called with tokens


def tiny_model(directory: Path, shards: bool = False) -> Path:
    """An OPT of one layer of 16 channels with a tokenizer of a dozen words, in one file or in several."""
    import torch
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    words = {word: number for number, word in enumerate(("<s>", "<pad>", "</s>", "<unk>", "the", "a", "of", "is"))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    config = OPTConfig(
        vocab_size=8,
        hidden_size=16,
        word_embed_proj_dim=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        max_position_embeddings=16,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    OPTForCausalLM(config).save_pretrained(directory, max_shard_size=8_000 if shards else "1GB")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(directory)
    return directory


def tiny_quantized(source: Path, directory: Path, **choices: Any) -> Path:
    """That model quantized, as `dint quantize` writes it."""
    import torch

    from quant.huggingface import save_quantized
    from quant.models import load_model
    from quant.quantization import quantize_model
    from quant.recipe import Recipe

    loaded = load_model(source)
    quantized = quantize_model(loaded, Recipe(**choices), torch.arange(8)[None] % 8)
    directory.mkdir()
    save_quantized(quantized, loaded.tokenizer, directory, {"name": "tiny", "sha256": loaded.sha256}, {"length": 8})
    return directory


def _models(folder: Path) -> _Models:
    from quant.console import quiet_libraries
    from quant.models import load_model

    def load(directory: Path) -> Any:
        with quiet_libraries():
            loaded = load_model(directory)
        text = loaded.tokenizer("the a", add_special_tokens=False)["input_ids"]
        return loaded.model, [token for token in text if isinstance(token, int)]

    return _Models((tiny_model(folder / "one"), tiny_model(folder / "shards", shards=True)), load)


def _quantized_models(folder: Path) -> _Models:
    from quant.console import quiet_libraries
    from quant.huggingface import load_any

    source = tiny_model(folder / "source")
    directories = (
        tiny_quantized(source, folder / "dint4", weights="dint4", value_format="dint4"),
        tiny_quantized(source, folder / "groups", weights="int3", form="asymmetric", group_size=8),
        tiny_quantized(source, folder / "fp4", weights="fp4_e2m1", activations="fp32"),
    )

    def load(directory: Path) -> Any:
        with quiet_libraries():
            loaded, _ = load_any(directory)
        return loaded.model, [4, 5]

    return _Models(directories, load)


def _model_directory(models: _Models, rng: Random, folder: Path) -> Case:
    directory = folder / "model"
    shutil.copytree(rng.choice(models.directories), directory)
    for _ in range(rng.choice((1, 1, 1, 2))):
        _spoil(directory, rng)

    def check(loaded: tuple[Any, list[int]]) -> None:
        import torch

        model, tokens = loaded
        with torch.no_grad():  # sums of finite weights may overflow, which every measurement refuses
            model(input_ids=torch.tensor([tokens or [0]]))
        if not all(bool(torch.isfinite(tensor).all()) for tensor in model.state_dict().values() if tensor.is_floating_point()):
            raise Garbage("weights: not finite")

    return Case(lambda: models.load(directory), check)


def _spoil(directory: Path, rng: Random) -> None:
    """One file of a model directory spoilt; which of them most often matters is the configuration and the weights."""
    files = sorted(path for path in directory.iterdir() if path.is_file() and not path.is_symlink())
    if not files:
        return
    weights = [path for path in files if path.suffix == ".safetensors"]
    config = directory / "config.json"
    path = rng.choice((*files, *weights, config))
    if not path.is_file() or path.stat().st_size == 0:
        return
    content = path.read_bytes()
    path.unlink()
    kind = rng.randrange(12)
    if kind == 0:
        return
    if kind == 1:
        mutations.misplaced(path, content, rng)
    elif kind == 2:
        path.write_bytes(mutations.damaged(content, rng))
    elif kind == 3:
        path.with_name(rng.choice(("x.json", "config", "model.safetensors.bak"))).write_bytes(content)
    elif path.suffix == ".safetensors":
        try:
            path.write_bytes(mutations.tensor_file(content, rng))
        # It was spoilt before.
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
            path.write_bytes(mutations.damaged(content, rng))
    else:
        try:
            path.write_text(mutations.json_text(json.loads(content), rng), encoding="utf-8", errors="replace")
        except (ValueError, RecursionError):
            path.write_bytes(mutations.damaged(content, rng))


TARGETS = (
    Target("recipes", 15, lambda _: mutations.tokens(_RECIPE), _recipe),
    Target("model directories", 20, _models, _model_directory, cpu_s=20),
    Target("quantized models", 15, _quantized_models, _model_directory, cpu_s=20),
)
