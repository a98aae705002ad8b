# SPDX-License-Identifier: Apache-2.0
"""In what a measurement of `table3` differs from the reference paper's (arXiv 2311.05161), as far as that says what it did.

The paper: scales are searched on a part of the Pile with AWQ's settings, OPTQ sees 128 windows of 2048 tokens of C4 (GPTQ's
settings); everything is quantized between minimum and maximum, asymmetrically; the unquantized model is in FP16.
"""

from __future__ import annotations

from .calibration import Calibration, searched

__all__ = ["differences"]

#: What the paper calibrates OPTQ on: windows, and tokens of each.
PAPER_WINDOWS = (128, 2048)
#: What differs in every run.
_ALWAYS = (
    "all rows compute in float32 around the integers; the paper's unquantized model: FP16",
    "activations are symmetric INT8, one scale a token; the paper's: asymmetric",
    "attention's probabilities use the 128 levels of symmetric INT8 that are not negative; asymmetric ones: all 256",
    "AWQ searches s = x^r; its code of the paper's time may have searched x^r / w^(1-r)",
    "AQAS searches the exponents of activations and weights independently; the paper: AWQ's grid search",
    "the rows AWQ and AQAS include the search of the weights' ranges: our reading, the paper's table does not name it",
    "before OPTQ, that search sees inputs behind layers that are quantized already; AWQ's: those of the unquantized model",
    "OPTQ rounds the weights as they are and makes up for what saturates; AWQ clamps them to their ranges before",
    "the values' ranges are fixed on the calibration windows; the paper does not say when they are taken",
)
#: What differs in a perplexity "per token" (GPTQ's metric) and "per word" (lm-evaluation-harness's).
_METRIC = {
    "per token": "the text has no special tokens; GPTQ's begins with those that the tokenizer adds",
    "per word": "special tokens are left to the tokenizer, as today's lm-evaluation-harness does; that of 2023 added none",
}


def differences(calibration: Calibration, metric: str, text: str | None, windows: int | None) -> list[str]:
    """What differs in a run with `calibration`, one line each.

    `metric` is "per token" or "per word"; `text` the name of the text measured on, None for the paper's; `windows` the limit
    on its windows, if there is one.
    """
    count, length = calibration.windows.shape
    found = [_METRIC[metric]]
    if text is not None:
        found.append(f"measured on {text}; the paper: on WikiText-2's test text")
    if windows is not None:
        found.append(f"measured on at most {windows} windows of the text; the paper: on all of it")
    found.append(f"calibrated on {calibration.text}; the paper: scales on a part of the Pile with AWQ's settings, OPTQ on C4")
    if (count, length) != PAPER_WINDOWS:
        seen, theirs = f"{count} windows of {length} tokens", f"{PAPER_WINDOWS[0]} of {PAPER_WINDOWS[1]}"
        found.append(
            f"OPTQ sees {seen}, searches the first {searched(calibration.windows).numel()} tokens; the paper's OPTQ: {theirs}"
        )
    return [*found, *_ALWAYS]
