# SPDX-License-Identifier: Apache-2.0
"""`make benchmark-quantization`: what quantizing costs on a model of OPT-125M's shapes, and what integers bring.

    python -m benchmarks.quantization [--layers N ...] [--form symmetric|asymmetric] [--out DIR]

The form is that of the weights of whole quantizations; the reference paper's rows are asymmetric. Rounding by itself is
timed in both forms. The weights are random: time and memory do not depend on them. Each quantization (AQAS, OPTQ,
calibration on four windows of 256 tokens) runs in a process of its own, so that its peak memory is its own. Besides the
time on the wall, which other programs on the machine lengthen, there is the processor time of all threads.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from golden import DINT3, DINT4, FP4_E2M1, INT4, INT8, NumberFormat
from golden.artifacts import canonical_json, write_file
from golden.tables import print_table
from quant.layers import QuantLinear, use_execution
from quant.models import SHIPPED, load_model
from quant.optq import round_compensated
from quant.quantization import quantize_model
from quant.recipe import Recipe
from quant.weights import FORMS, choose_scales, nearest_codes

#: OPT-125M (Zhang et al. 2022, table 1).
HIDDEN, FFN, HEADS, LAYERS, VOCABULARY, POSITIONS = 768, 3072, 12, 12, 50272, 2048
CALIBRATION_LENGTH, CALIBRATION_TOKENS = 256, 1024
ROUNDED = (INT4, DINT4, DINT3, FP4_E2M1)
#: Formats, forms and group sizes whose executions are compared.
EXECUTED: tuple[tuple[NumberFormat, str, int | None], ...] = (
    (DINT4, "symmetric", None),
    (DINT4, "symmetric", 128),
    (DINT4, "asymmetric", None),
    (INT4, "symmetric", None),
    (FP4_E2M1, "symmetric", None),
    (INT8, "symmetric", None),
)
TOKENS = 2048
REPEATS = 7

CHILD = """
import json, re, resource, sys, time
from pathlib import Path
from quant.command import quantize
from quant.stopwatch import stopwatch
model, out, laps_file, length, tokens, form = sys.argv[1:]
calibration = {"calibration_length": int(length), "calibration_tokens": int(tokens)}
begin = time.perf_counter()
with stopwatch() as laps:
    quantize(model, out=Path(out), scaling="aqas", rounding="optq", form=form, **calibration, table=False)
usage = resource.getrusage(resource.RUSAGE_SELF)
Path(laps_file).write_text(json.dumps({
    "seconds": time.perf_counter() - begin,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    # Not ru_maxrss, which begins with the peak of the process that started this one.
    "peak_bytes": 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]),
    "laps": [vars(lap) for lap in laps],
}))
"""


#: What is promised: of OPT-125M's twelve layers, of more layers, of rounding to nearest beside INT4's.
MOST_SECONDS, MOST_BYTES, MOST_GROWTH, MOST_TO_INT4 = 360.0, 2.5e9, 1.05, 1.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write `quantization.json`; exit code 1 if something is not as promised."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantization", description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, action="append", help="number of decoder layers; several times for several")
    parser.add_argument("--form", choices=FORMS, default="symmetric", help="of the weights of the quantizations")
    parser.add_argument("--out", type=Path, default=Path("build/benchmark-quantization"))
    options = parser.parse_args(arguments)
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "machine": {"threads": torch.get_num_threads(), "cpu": torch.backends.cpu.get_cpu_capability()},
        "torch": torch.__version__,
        "form": options.form,
    }
    results["quantization"] = [measure_quantization(layers, options.form) for layers in options.layers or (LAYERS, 2 * LAYERS)]
    print_table(console, _quantization_table(results["quantization"], options.form))
    print_table(console, _stage_table(results["quantization"][0]))
    torch.set_num_threads(1)  # threads that wait for one another count as processor time
    results["rounding"] = measure_rounding()
    print_table(console, _rounding_table(results["rounding"]))
    results["execution"] = measure_execution()
    print_table(console, _execution_table(results["execution"]))
    write_file(options.out / "quantization.json", canonical_json(results))
    for line in (found := missed(results)):
        console.print(f"not as promised: {line}", highlight=False)
    return int(bool(found))


def missed(results: Mapping[str, Any]) -> list[str]:
    """What of the measurements is not as promised, a line for each."""
    lines, runs = [], sorted(results["quantization"], key=lambda run: int(run["layers"]))
    for run in runs:
        if run["layers"] <= LAYERS and run["seconds"] > MOST_SECONDS:
            lines.append(f"{run['layers']} layers took {run['seconds']:.0f} s: {MOST_SECONDS:.0f} s are promised")
        if run["peak_bytes"] > MOST_BYTES:
            lines.append(
                f"{run['layers']} layers took {run['peak_bytes'] / 1e6:.0f} MB: {MOST_BYTES / 1e6:.0f} MB are promised"
            )
        if run["peak_bytes"] > MOST_GROWTH * runs[0]["peak_bytes"]:
            lines.append(
                f"{run['layers']} layers took {run['peak_bytes'] / runs[0]['peak_bytes']:.2f} times as much memory as fewer"
            )
    for row in results["rounding"]:
        if row["rtn_to_int4"] > MOST_TO_INT4:
            lines.append(f"rounding to {row['format']}, {row['form']}, took {row['rtn_to_int4']:.2f} times as long as to INT4")
    lines += [f"{row['what']}, {row['scheme']}: executions differ" for row in results["execution"] if not row["equal"]]
    return lines


def measure_quantization(layers: int, form: str) -> dict[str, Any]:
    """Time, peak memory and laps of the whole command on a random model of so many decoder layers, its weights in `form`."""
    with tempfile.TemporaryDirectory() as scratch:
        model, laps = Path(scratch) / "model", Path(scratch) / "laps.json"
        _make_model(model, layers)
        calibration = [str(CALIBRATION_LENGTH), str(CALIBRATION_TOKENS)]
        command = [sys.executable, "-c", CHILD, str(model), f"{scratch}/out", str(laps), *calibration, form]
        subprocess.run(command, check=True)
        measured: dict[str, Any] = json.loads(laps.read_text())
        weights = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    stages: dict[str, dict[str, float]] = {}
    for lap in measured.pop("laps"):
        total = stages.setdefault(lap["stage"], {"seconds": 0.0, "cpu_seconds": 0.0})
        for unit in total:
            total[unit] += lap[unit]
    units = "seconds", "cpu_seconds"
    stages["the rest"] = {unit: measured[unit] - sum(total[unit] for total in stages.values()) for unit in units}
    return {"layers": layers, "weight_bytes": weights, **measured, "stages": stages}


def measure_rounding() -> list[dict[str, Any]]:
    """Processor time of rounding a matrix of fc1's shape to nearest and by OPTQ, by form and format, and its ratio to INT4's.

    Medians of several rounds, each of which times every format once: whatever else the machine does then meets all of them.
    """
    torch.manual_seed(0)
    weight, inputs = torch.randn(FFN, HIDDEN), torch.randn(1024, HIDDEN)
    hessian = inputs.T @ inputs
    roundings: dict[str, Callable[..., Any]] = {
        "rtn": partial(nearest_codes, weight),
        "optq": partial(round_compensated, weight, hessian),
    }
    rows = []
    for form in FORMS:
        formats = [one for one in ROUNDED if form == "symmetric" or one.has_zero_points]
        chosen = {one: choose_scales(weight, one, form) for one in formats}
        seconds: dict[tuple[str, NumberFormat], list[float]] = {}
        for _, (name, rounding), one in product(range(REPEATS), roundings.items(), formats):
            seconds.setdefault((name, one), []).append(_cpu_seconds(partial(rounding, one, *chosen[one])))
        for one in formats:
            row: dict[str, Any] = {"form": form, "format": one.name}
            for name in roundings:
                pairs = zip(seconds[name, one], seconds[name, INT4], strict=True)
                row[f"{name}_cpu_seconds"] = median(seconds[name, one])
                row[f"{name}_to_int4"] = median(own / least for own, least in pairs)
            rows.append(row)
    return rows


def measure_execution() -> list[dict[str, Any]]:
    """Processor time of a forward pass with float and with integer execution, decoding of the weights aside.

    Of the shipped checkpoint as a whole, and of one linear layer of fc1's shape; 2048 tokens.
    """
    rows = []
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(HIDDEN, FFN), torch.randn(TOKENS, HIDDEN)
    for number_format, form, group_size in EXECUTED:
        recipe = Recipe(number_format.name, form=form, group_size=group_size)
        layer = QuantLinear.from_linear(linear, recipe.scheme)
        rows.append(_executed("fc1 of OPT-125M", recipe.name, layer, partial(layer, x)))
    loaded = load_model()
    tokens = torch.randint(loaded.model.config.vocab_size, (TOKENS // loaded.window, loaded.window))
    for number_format, form, group_size in EXECUTED:
        recipe = Recipe(number_format.name, form=form, group_size=group_size)
        model = quantize_model(loaded, recipe, tokens).model
        rows.append(_executed("shipped checkpoint", recipe.name, model, partial(_logits, model, tokens)))
    return rows


def _logits(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=tokens).logits
    return logits


def _executed(what: str, scheme: str, model: Any, run: Callable[[], torch.Tensor]) -> dict[str, Any]:
    outputs, seconds = {}, {}
    with torch.no_grad():
        for execution in ("float", "integer"):
            use_execution(model, execution)
            outputs[execution] = run()
            seconds[execution] = min(_cpu_seconds(run) for _ in range(REPEATS))
    return {
        "what": what,
        "scheme": scheme,
        "equal": torch.equal(outputs["float"], outputs["integer"]),
        "float_cpu_seconds": seconds["float"],
        "integer_cpu_seconds": seconds["integer"],
    }


def _make_model(directory: Path, layers: int) -> None:
    from transformers import OPTConfig, OPTForCausalLM

    torch.manual_seed(0)
    config = OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        word_embed_proj_dim=HIDDEN,
        ffn_dim=FFN,
        num_attention_heads=HEADS,
        num_hidden_layers=layers,
        max_position_embeddings=POSITIONS,
    )
    OPTForCausalLM(config).half().save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(SHIPPED / name, directory)


def _cpu_seconds(run: Callable[[], Any]) -> float:
    """Processor time of a run, all threads together."""
    begin = time.process_time()
    run()
    return time.process_time() - begin


def _quantization_table(runs: list[dict[str, Any]], form: str) -> Table:
    title = f"OPT-125M's shapes, random weights: dINT4, {form}, AQAS, OPTQ"
    table = _table(title, "layers", "weights, MB", "s", "CPU s", "peak MB")
    for run in runs:
        megabytes = [f"{run[key] / 1e6:.0f}" for key in ("weight_bytes", "peak_bytes")]
        table.add_row(str(run["layers"]), megabytes[0], f"{run['seconds']:.0f}", f"{run['cpu_seconds']:.0f}", megabytes[1])
    return table


def _stage_table(run: dict[str, Any]) -> Table:
    table = _table(f"{run['layers']} layers, by stage", "stage", "s a layer", "CPU s a layer", "CPU s")
    for name, total in run["stages"].items():
        cells = [total["seconds"] / run["layers"], total["cpu_seconds"] / run["layers"], total["cpu_seconds"]]
        table.add_row(name, *(f"{cell:.2f}" for cell in cells))
    return table


def _rounding_table(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        f"Rounding {FFN} x {HIDDEN} weights, one thread", "format", "form", "RTN, ms", "to INT4", "OPTQ, ms", "to INT4"
    )
    for row in rows:
        cells = [row["format"], row["form"]]
        for name in ("rtn", "optq"):
            cells += [f"{1e3 * row[f'{name}_cpu_seconds']:.1f}", f"{row[f'{name}_to_int4']:.2f}"]
        table.add_row(*cells)
    return table


def _execution_table(rows: list[dict[str, Any]]) -> Table:
    table = _table(
        f"Forward pass of {TOKENS} tokens, one thread", "", "quantized as", "float, ms", "integer, ms", "ratio", "equal"
    )
    for row in rows:
        times = row["float_cpu_seconds"], row["integer_cpu_seconds"]
        cells = [f"{1e3 * times[0]:.1f}", f"{1e3 * times[1]:.1f}", f"{times[0] / times[1]:.2f}", str(row["equal"])]
        table.add_row(row["what"], row["scheme"], *cells)
    return table


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left")
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True)
    return table


if __name__ == "__main__":
    raise SystemExit(main())
