# SPDX-License-Identifier: Apache-2.0
"""Train the shipped checkpoint, or a LLaMA of its size, on WikiText-2 and a part of Python's documentation.

    python -m quant.training --wikitext DIR --out DIR [--family llama] [--steps N] [--seed N] [--device cuda]

The schedule counts steps, not seconds: the same seed on the same machine gives the same batches in the same order, and a
run that was interrupted goes on from its last state as if it had not been. Matrices are trained with Muon (Jordan et al.
2024), everything else with AdamW; the learning rate rises for `WARMUP_STEPS` and then falls linearly to zero.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import torch
import transformers
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, OPTConfig, OPTForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from golden.artifacts import output_directory, sha256_file, write_file
from golden.errors import DintError, InputError

from .corpus import documentation_test, documentation_train, held_out_topics, text_sha256
from .evaluation import Evaluator, text_protocol
from .models import load_model
from .texts import Text, tokenize

WINDOW_TOKENS = 256
BATCH_WINDOWS = 16
VOCABULARY = 4096
MUON_LEARNING_RATE = 3e-3
ADAMW_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
WARMUP_STEPS = 100
STATE_EVERY_STEPS = 200
DROPOUT = 0.1
END_OF_TEXT = "</s>"


def opt() -> OPTForCausalLM:
    """Four pre-LayerNorm layers of 256 channels: 4.27 M parameters, 8.5 MB in fp16."""
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        ffn_dim=1024,
        max_position_embeddings=WINDOW_TOKENS,
        word_embed_proj_dim=256,
        dropout=DROPOUT,
        attention_dropout=0.0,
        activation_function="relu",
        do_layer_norm_before=True,
        tie_word_embeddings=True,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    return OPTForCausalLM(config)


def llama() -> LlamaForCausalLM:
    """Four layers of 256 channels, four query heads on two heads of keys and values: 4.20 M parameters, 8.4 MB in fp16.

    The MLP has three times as many channels (LLaMA's 8/3, rounded up to a multiple of 128: groups of 128 weights divide it).
    """
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=768,
        max_position_embeddings=WINDOW_TOKENS,
        tie_word_embeddings=True,
        bos_token_id=2,
        eos_token_id=2,
        pad_token_id=1,
    )
    return LlamaForCausalLM(config)


#: By family: a new model, its weights random.
FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {"opt": opt, "llama": llama}


def train_tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE of `VOCABULARY` tokens; the special tokens have OPT's ids, WikiText's <unk> is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [AddedToken(token, special=True) for token in ("<s>", "<pad>", END_OF_TEXT, "<unk>")]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=WINDOW_TOKENS,
    )


def batches(tokens: np.ndarray, seed: int, first_step: int, last_step: int) -> Iterator[torch.Tensor]:
    """Token windows (`BATCH_WINDOWS`, `WINDOW_TOKENS`) of each step: disjoint within an epoch, shifted between epochs.

    A step's batch depends on the seed and the step only, so that an interrupted run resumes exactly.
    """
    steps_per_epoch = (len(tokens) - WINDOW_TOKENS) // WINDOW_TOKENS // BATCH_WINDOWS
    epoch_of_order = -1
    for step in range(first_step, last_step):
        epoch, position = divmod(step, steps_per_epoch)
        if epoch != epoch_of_order:
            generator = np.random.default_rng([seed, epoch])
            shift = int(generator.integers(WINDOW_TOKENS))
            order = generator.permutation(steps_per_epoch * BATCH_WINDOWS)
            epoch_of_order = epoch
        starts = shift + WINDOW_TOKENS * order[position * BATCH_WINDOWS : (position + 1) * BATCH_WINDOWS]
        yield torch.from_numpy(np.stack([tokens[start : start + WINDOW_TOKENS] for start in starts]).astype(np.int64))


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear warm-up, then linear decay to zero at `steps`."""
    return min((step + 1) / WARMUP_STEPS, (steps - step) / max(1, steps - WARMUP_STEPS), 1.0)


def optimizers(model: PreTrainedModel) -> list[torch.optim.Optimizer]:
    """Muon for the decoder layers' matrices, AdamW for embeddings, biases and normalizations."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and ".layers." in name]
    matrix_ids = {id(p) for p in matrices}
    others = [p for p in model.parameters() if id(p) not in matrix_ids]
    decayed = [p for p in others if p.ndim == 2]
    plain = [p for p in others if p.ndim != 2]
    return [
        torch.optim.Muon(matrices, lr=MUON_LEARNING_RATE, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(
            [{"params": decayed, "weight_decay": WEIGHT_DECAY}, {"params": plain, "weight_decay": 0.0}],
            lr=ADAMW_LEARNING_RATE,
            betas=(0.9, 0.98),
        ),
    ]


@dataclass(frozen=True)
class Corpus:
    """Training tokens, the tokenizer trained on the same text, and the texts that results are measured on."""

    tokenizer: PreTrainedTokenizerFast
    training_tokens: np.ndarray  # (tokens,) uint16
    test_texts: dict[str, str]
    wikitext_sha256: str


def corpus(wikitext: Path) -> Corpus:
    """WikiText-2 (`train.txt`, `test.txt` in `wikitext`) and the training part of Python's documentation."""
    try:
        articles, articles_test = ((wikitext / name).read_text() for name in ("train.txt", "test.txt"))
    except OSError as error:
        raise InputError(f"--wikitext {wikitext}: {error.strerror}; it must hold train.txt and test.txt") from None
    documents = documentation_train()
    tokenizer = train_tokenizer([articles, *documents])
    end = np.array([tokenizer.eos_token_id], dtype=np.uint16)
    parts = [part for text in (articles, *documents) for part in (tokenize(tokenizer, text).numpy().astype(np.uint16), end)]
    tests = {"WikiText-2 test": articles_test, "Python documentation, held-out topics": documentation_test()}
    return Corpus(tokenizer, np.concatenate(parts), tests, text_sha256(articles))


def language_model_loss(logits: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in nats of `logits` (windows, tokens, vocabulary) for the next of `tokens` (windows, tokens)."""
    return torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), tokens[:, 1:].flatten())


def train(data: Corpus, state_file: Path, steps: int, seed: int, device: str = "cpu", family: str = "opt") -> PreTrainedModel:
    """Train for `steps` steps, going on from `state_file` where it exists; returns the model in fp32 on the CPU."""
    torch.manual_seed(seed)
    model = FAMILIES[family]().to(device)
    chosen = optimizers(model)
    first_step = 0
    if state_file.exists():
        first_step = _load_state(state_file, model, chosen, steps, seed)
    base_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers(model)]
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task("", total=steps, completed=first_step, loss=float("nan"))
        smoothed, started = float("nan"), time.monotonic()
        for step, batch in enumerate(batches(data.training_tokens, seed, first_step, steps), start=first_step):
            model.train()
            batch = batch.to(device)
            with torch.autocast(device, dtype=torch.bfloat16):
                logits = model(input_ids=batch).logits
            loss = language_model_loss(logits, batch)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, rates in zip(chosen, base_rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * learning_rate_factor(step, steps)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            value = float(loss.detach())
            smoothed = value if np.isnan(smoothed) else 0.98 * smoothed + 0.02 * value
            progress.update(bar, completed=step + 1, loss=smoothed)
            if (step + 1) % STATE_EVERY_STEPS == 0 or step + 1 == steps:
                rate = (step + 1 - first_step) * BATCH_WINDOWS * WINDOW_TOKENS / (time.monotonic() - started)
                progress.console.print(f"step {step + 1}: loss {smoothed:.4f}, {rate:.0f} tokens/s")
                _save_state(state_file, model, chosen, step + 1, steps, seed)
    return model.cpu()


def _save_state(
    file: Path, model: PreTrainedModel, chosen: list[torch.optim.Optimizer], step: int, steps: int, seed: int
) -> None:
    temporary = file.with_suffix(".new")
    state = {
        "family": model.config.model_type,
        "seed": seed,
        "steps": steps,
        "step": step,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in chosen],
        "rng": torch.get_rng_state(),
    }
    torch.save(state, temporary)
    temporary.replace(file)


def _load_state(file: Path, model: PreTrainedModel, chosen: list[torch.optim.Optimizer], steps: int, seed: int) -> int:
    """Restore everything that the next step depends on; returns that step."""
    state: dict[str, Any] = torch.load(file, weights_only=True)
    wanted = {"family": model.config.model_type, "seed": seed, "steps": steps}
    for name, value in wanted.items():
        if state[name] != value:
            raise InputError(f"{file}: made with {name} {state[name]}, not {value}; remove it to start anew")
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(chosen, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    torch.set_rng_state(state["rng"])
    return int(state["step"])


def release(model: PreTrainedModel, data: Corpus, out: Path, steps: int, seed: int) -> dict[str, float]:
    """Write the Hugging Face directory with its model card; returns the perplexities of what was written (fp16)."""
    with output_directory(out) as scratch:
        model.half().save_pretrained(scratch)
        data.tokenizer.save_pretrained(scratch)
        shipped = load_model(scratch)
        protocols = [text_protocol(Text(name, text), shipped) for name, text in data.test_texts.items()]
        results = {one.name: Evaluator(shipped.model, one).score(None).perplexity for one in protocols}
        write_file(scratch / "README.md", _model_card(shipped.model, data, scratch, steps, seed, results))
    return results


def _model_card(model: PreTrainedModel, data: Corpus, directory: Path, steps: int, seed: int, results: dict[str, float]) -> str:
    tokens = len(data.training_tokens)
    seen = steps * BATCH_WINDOWS * WINDOW_TOKENS
    files = [file for file in sorted(directory.iterdir()) if file.name != "README.md"]
    config = model.config
    facts = {
        "name": {"opt": "OPT", "llama": "LLaMA"}[config.model_type],
        "family": config.model_type,
        "class": type(model).__name__,
        "layers": config.num_hidden_layers,
        "channels": config.hidden_size,
        "parameters": f"{sum(p.numel() for p in model.parameters()):,}",
        "window": WINDOW_TOKENS,
        "vocabulary": VOCABULARY,
        "wikitext_sha256": data.wikitext_sha256,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "topics": ", ".join(held_out_topics()),
        "tokens": f"{tokens:,}",
        "steps": steps,
        "batch": BATCH_WINDOWS,
        "seen": f"{seen:,}",
        "epochs": f"{seen / tokens:.1f}",
        "seed": seed,
        "dropout": getattr(config, "dropout", 0),
        "muon": MUON_LEARNING_RATE,
        "adamw": ADAMW_LEARNING_RATE,
        "decay": WEIGHT_DECAY,
        "warmup": WARMUP_STEPS,
        "results": "\n".join(
            f"| {name} | {results[name]:.2f} | `{text_sha256(text)}` |" for name, text in data.test_texts.items()
        ),
        "files": "\n".join(f"| {file.name} | {file.stat().st_size:,} | `{sha256_file(file)}` |" for file in files),
    }
    return Template(Path(__file__).with_name("model_card.md").read_text()).substitute(facts)


def main() -> None:
    """Command line of the script."""
    parser = argparse.ArgumentParser(prog="python -m quant.training", description="Train the shipped checkpoint.")
    parser.add_argument("--wikitext", type=Path, required=True, help="folder with WikiText-2's train.txt and test.txt")
    parser.add_argument("--out", type=Path, required=True, help="directory to write; OUT.state keeps the run's state")
    parser.add_argument("--family", choices=list(FAMILIES), default="opt")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    try:
        if arguments.steps <= WARMUP_STEPS:
            raise InputError(f"--steps {arguments.steps}: more than the {WARMUP_STEPS} steps of warm-up are needed")
        data = corpus(arguments.wikitext)
        state_file = arguments.out.with_name(arguments.out.name + ".state") / "state.pt"
        state_file.parent.mkdir(parents=True, exist_ok=True)
        model = train(data, state_file, arguments.steps, arguments.seed, arguments.device, arguments.family)
        results = release(model, data, arguments.out, arguments.steps, arguments.seed)
    except DintError as error:
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted; the same command goes on from the last state") from None
    print("\n".join(f"{name}: perplexity {value:.2f}" for name, value in results.items()))


if __name__ == "__main__":
    main()
