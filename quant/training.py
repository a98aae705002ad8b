"""Train the shipped checkpoint: a small `OPTForCausalLM` on WikiText-2 and a part of Python's documentation.

    python -m quant.training --wikitext DIR --out DIR [--steps N] [--seed N]

The schedule counts steps, not seconds: the same seed on the same machine gives the same batches in the same order, and a
run that was interrupted goes on from its last state as if it had not been. Matrices are trained with Muon (Jordan et al.
2024), everything else with AdamW; the learning rate rises for `WARMUP_STEPS` and then falls linearly to zero.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import OPTConfig, OPTForCausalLM, PreTrainedTokenizerFast

from .corpus import documentation_train

WINDOW_TOKENS = 256
BATCH_WINDOWS = 16
VOCABULARY = 4096
MUON_LEARNING_RATE = 6e-3
ADAMW_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 0.1
WARMUP_STEPS = 100
STATE_EVERY_STEPS = 200
DROPOUT = 0.1
END_OF_TEXT = "</s>"


def architecture() -> OPTConfig:
    """Four pre-LayerNorm layers of 256 channels: 4.27 M parameters, 8.5 MB in fp16."""
    return OPTConfig(
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


def optimizers(model: OPTForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon for the decoder layers' matrices, AdamW for embeddings, biases and LayerNorm."""
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


def perplexity(model: OPTForCausalLM, tokens: np.ndarray) -> float:
    """Per-token perplexity over disjoint windows of `WINDOW_TOKENS`; the incomplete last window is left out."""
    windows = len(tokens) // WINDOW_TOKENS
    model.eval()
    total, count = 0.0, 0
    with torch.no_grad():
        for chunk in torch.from_numpy(tokens[: windows * WINDOW_TOKENS].astype(np.int64)).view(-1, WINDOW_TOKENS).split(32):
            logits = model(input_ids=chunk).logits[:, :-1].float()
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), chunk[:, 1:].flatten(), reduction="sum")
            total += float(loss)
            count += chunk[:, 1:].numel()
    return float(np.exp(total / count))


def train(wikitext: Path, out: Path, steps: int, seed: int) -> None:
    """Train, evaluate and write the Hugging Face directory `out`; intermediate state goes to `out`.state."""
    articles = (wikitext / "train.txt").read_text()
    documents = documentation_train()
    tokenizer = train_tokenizer([articles, *documents])

    def encode(text: str) -> np.ndarray:
        # Encoded paragraph by paragraph: the tokenizer warns of texts beyond the model's positions otherwise.
        ids = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        return np.array(ids, dtype=np.uint16)

    end = np.array([tokenizer.eos_token_id], dtype=np.uint16)
    tokens = np.concatenate([part for text in (articles, *documents) for part in (encode(text), end)])
    torch.manual_seed(seed)
    model = OPTForCausalLM(architecture())
    parameters = sum(p.numel() for p in model.parameters())
    print(
        f"{parameters:,} parameters, {len(tokens):,} training tokens, {steps} steps of {BATCH_WINDOWS * WINDOW_TOKENS} tokens"
    )
    chosen = optimizers(model)
    state_file = out.with_name(out.name + ".state") / "state.pt"
    state_file.parent.mkdir(parents=True, exist_ok=True)
    first_step = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        if (state["seed"], state["steps"]) != (seed, steps):
            raise SystemExit(f"{state_file}: made with seed {state['seed']}, {state['steps']} steps; remove it to start anew")
        model.load_state_dict(state["model"])
        for optimizer, saved in zip(chosen, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        torch.set_rng_state(state["rng"])
        first_step = state["step"]
    base_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in chosen]
    base_rates = [[MUON_LEARNING_RATE], [ADAMW_LEARNING_RATE, ADAMW_LEARNING_RATE]]

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn()) as progress:
        bar = progress.add_task("", total=steps, completed=first_step, loss=float("nan"))
        smoothed = float("nan")
        started = time.monotonic()
        for step, batch in enumerate(batches(tokens, seed, first_step, steps), start=first_step):
            model.train()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(input_ids=batch).logits
            loss = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch[:, 1:].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer, rates in zip(chosen, base_rates, strict=True):
                for group, rate in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = rate * learning_rate_factor(step, steps)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            value = float(loss.detach())
            smoothed = value if smoothed != smoothed else 0.98 * smoothed + 0.02 * value
            progress.update(bar, completed=step + 1, loss=smoothed)
            if (step + 1) % STATE_EVERY_STEPS == 0 or step + 1 == steps:
                rate = (step + 1 - first_step) * BATCH_WINDOWS * WINDOW_TOKENS / (time.monotonic() - started)
                progress.console.print(f"step {step + 1}: loss {smoothed:.4f}, {rate:.0f} tokens/s")
                temporary = state_file.with_suffix(".new")
                torch.save(
                    {
                        "seed": seed,
                        "steps": steps,
                        "step": step + 1,
                        "model": model.state_dict(),
                        "optimizers": [optimizer.state_dict() for optimizer in chosen],
                        "rng": torch.get_rng_state(),
                    },
                    temporary,
                )
                os.replace(temporary, state_file)
