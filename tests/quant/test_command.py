# SPDX-License-Identifier: Apache-2.0
"""`dint quantize` and `dint operands` from end to end, on the tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from golden import DINT3, Operands
from golden.artifacts import sha256_file
from golden.errors import InputError
from quant import output_error
from quant.command import quantize
from quant.comparison import compared_recipes
from quant.operands_command import operands
from quant.quantization import QuantizedModel
from quant.recipe import Recipe

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "config.json",
    "generation_config.json",
    "metrics.json",
    "model.safetensors",
    "operands.npz",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("texts") / "essay.txt"
    file.write_text("A number format is declared once, and everything else is derived from it. " * 60)
    return file


@pytest.fixture(scope="module")
def result(tiny_directory: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("results") / "out"
    metrics = quantize(str(tiny_directory), out=out, text=text, calibration_length=32, windows=12, quiet=True)
    return metrics, out


def test_everything_is_written(result: tuple[dict[str, Any], Path]) -> None:
    metrics, out = result
    assert {file.name for file in out.iterdir()} == FILES
    assert json.loads((out / "metrics.json").read_text()) == metrics


def test_metrics_follow_the_schema(result: tuple[dict[str, Any], Path], tiny_directory: Path) -> None:
    metrics, _ = result
    assert metrics["model"]["sha256"] == sha256_file(tiny_directory / "model.safetensors")
    assert metrics["calibration"]["length_tokens"] == 32
    assert metrics["calibration"]["windows"] == 512
    assert set(metrics["protocols"]) == {"python-documentation", "essay.txt"}
    config = json.loads((result[1] / "config.json").read_text())["quantization_config"]
    assert config["calibration"] == metrics["calibration"]
    names = [row["name"] for row in metrics["rows"]]
    assert names == [
        "unquantized",
        "W8A8 INT8",
        "W4A8 INT4",
        "W4A8 INT4, AQAS",
        "W4A8 dINT4",
        "W4A8 dINT4, AQAS",
        "W4A8 INT4, asymmetric",
        "W4A8 dINT4, asymmetric",
    ]
    assert [row["name"] for row in metrics["rows"] if row["chosen"]] == ["W4A8 dINT4, AQAS"]
    for row in metrics["rows"]:
        for text in metrics["protocols"]:
            assert row["perplexity"][text] > 1
            assert row["perplexity_standard_error"][text] > 0
            assert (row["kl"][text] is None) == (row["name"] == "unquantized")
        if row["name"] != "unquantized":
            error = row["output_error"]
            assert error["total"] == pytest.approx(error["underflow"] + error["rounding"] + error["cross"])
            assert 0 < row["zero_fraction"] < 0.5
            layers = [layer for layer in metrics["layers"] if layer["row"] == row["name"]]
            assert len(layers) == 12
            assert sum(layer["total"] for layer in layers) / 12 == pytest.approx(error["total"])
            bits = 8 if row["weights"] == "int8" else 4
            for layer in layers:
                assert (layer["code_counts"] is None) == (bits == 8)
                assert 0.4 * bits < layer["code_entropy_bits"] <= bits
    by_name = {row["name"]: row for row in metrics["rows"]}
    for text in metrics["protocols"]:
        assert by_name["W8A8 INT8"]["kl"][text] < 0.2 * by_name["W4A8 dINT4"]["kl"][text]


def test_exported_with_the_model(result: tuple[dict[str, Any], Path]) -> None:
    _, out = result
    loaded = Operands.load(out / "operands.npz")
    assert len(loaded.layers) == 12
    assert loaded.number_format.name == "dint4"
    assert loaded.provenance["quantized_sha256"] == sha256_file(out / "model.safetensors")
    assert loaded.provenance["recipe"]["scaling"] == "aqas"


def test_same_inputs_same_bytes(result: tuple[dict[str, Any], Path], tiny_directory: Path, text: Path, tmp_path: Path) -> None:
    _, out = result
    quantize(str(tiny_directory), out=tmp_path / "out", text=text, calibration_length=32, windows=12, quiet=True)
    for name in sorted(FILES):
        assert (out / name).read_bytes() == (tmp_path / "out" / name).read_bytes(), name


def test_operands_again_are_the_same(result: tuple[dict[str, Any], Path], tmp_path: Path) -> None:
    """A directory gives the operands that were written with it."""
    _, out = result
    summary = operands(out, out=tmp_path / "new", quiet=True)
    assert (tmp_path / "new" / "operands.npz").read_bytes() == (out / "operands.npz").read_bytes()
    assert summary["tokens"] == 32
    name = "model.decoder.layers.0.fc1"
    summary = operands(out, out=tmp_path / "one", layers=[name], tokens=5, quiet=True)
    loaded = Operands.load(tmp_path / "one" / "operands.npz")
    assert [layer.name for layer in loaded.layers] == summary["layers"] == [name]
    assert summary["products"] == 5 * 160 * 64


@pytest.mark.parametrize(
    "choices",
    [
        {"format": "int8", "scaling": "aqas", "form": "symmetric"},
        {"format": "dint3", "scaling": "aqas", "form": "asymmetric"},
        {"format": "int4", "scaling": "none", "form": "symmetric"},
        {"format": "dint4", "scaling": "aqas", "clipping": "awq", "rounding": "optq", "form": "symmetric", "group_size": 32},
        {"format": "fp4_e2m1", "scaling": "none", "form": "symmetric"},
    ],
    ids=lambda choices: choices["format"],
)
def test_any_recipe_without_the_table(tiny_directory: Path, tmp_path: Path, choices: dict[str, Any]) -> None:
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", **choices, table=False, quiet=True)
    assert metrics["rows"] == []  # what was not measured is not there
    loaded = Operands.load(tmp_path / "out" / "operands.npz")
    assert loaded.number_format.name == choices["format"]
    expected = {"weights" if name == "format" else name: value for name, value in choices.items()}
    assert loaded.provenance["recipe"].items() >= expected.items()
    for layer in loaded.layers:
        assert (layer.zero_points is not None) == (choices["form"] == "asymmetric")


def test_weights_only_have_no_operands(tiny_directory: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    quantize(str(tiny_directory), out=out, activations="fp32", scaling="none", table=False, quiet=True)
    assert {file.name for file in out.iterdir()} == FILES - {"operands.npz"}
    with pytest.raises(InputError, match="only its weights are quantized"):
        operands(out, quiet=True)


def test_a_recipe_of_ones_own_joins_the_table(tiny_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", format="dint3", scaling="none", windows=3)
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert config["calibration"] is None  # of this one; others in the table are calibrated
    assert metrics["calibration"]["seed"] == 0
    assert metrics["rows"][-1]["name"] == "W3A8 dINT3"
    assert metrics["rows"][-1]["chosen"]
    printed = capsys.readouterr().out
    for row in metrics["rows"]:
        assert row["name"] in printed
    assert f"{metrics['rows'][-1]['kl']['python-documentation'] * 1e3:.3f}" in printed


def test_full_table_has_every_method() -> None:
    """All else as in the chosen recipe; a format that takes no zero-points is symmetric."""
    chosen = Recipe("dint4", group_size=32, form="asymmetric", value_format="dint4", attention="int8")
    recipes = compared_recipes(chosen, full=True)
    assert len({recipe.name for recipe in recipes}) == len(recipes) == 5 * 4 * 2 * 2
    assert chosen in recipes
    for name in ("int4", "dint4", "fp4_e2m1", "int3", "dint3"):
        own = [recipe for recipe in recipes if recipe.weights == name]
        assert len({(recipe.scaling, recipe.rounding, recipe.clipping) for recipe in own}) == len(own) == 4 * 2 * 2
        for recipe in own:
            assert (recipe.group_size, recipe.value_format, recipe.attention) == (32, name, "int8")
            assert recipe.form == ("symmetric" if name == "fp4_e2m1" else "asymmetric")
    assert Recipe("dint4", scaling="aqas", rounding="optq", clipping="awq") in compared_recipes(Recipe("dint4"), full=True)


@pytest.mark.parametrize(
    ("name", "sibling"),
    [
        ("dint4", "int4"),
        ("int4", "dint4"),
        ("dint3", "int3"),
        ("int3", "dint3"),
        ("fp4_e2m1", "dint4"),
        ("dint4_eighth", "int4"),
    ],
)
def test_the_sibling_stands_beside_the_chosen(name: str, sibling: str) -> None:
    for choices in ({"value_format": "int8"}, {"clipping": "awq", "rounding": "optq"}, {"value_format": name}):
        *_, other, last = compared_recipes(Recipe(name, **choices))  # type: ignore[arg-type]
        assert last == Recipe(name, **choices)  # type: ignore[arg-type]
        changed = {"value_format": sibling} if choices.get("value_format") == name else {}
        assert other == Recipe(sibling, **{**choices, **changed})  # type: ignore[arg-type]
    assert compared_recipes(Recipe("dint4")) == compared_recipes(Recipe("int8"))


def test_without_the_table_it_says_so(tiny_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", format="int4", scaling="none", table=False)
    assert (metrics["rows"], metrics["protocols"]) == ([], {})
    assert metrics["recipe"] == Recipe("int4").describe()
    printed = " ".join(capsys.readouterr().out.split())
    assert f"not measured (--no-table): 'dint evaluate {tmp_path / 'out'}' does" in printed
    assert "parameters; no calibration" in printed
    config = json.loads((tmp_path / "out" / "config.json").read_text())["quantization_config"]
    assert (config["calibration"], metrics["calibration"]) == (None, None)  # rounding to nearest looks at no text


def test_full_table_is_measured(tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over one format and the fastest scalings: the way there is the same for all."""
    monkeypatch.setattr("quant.comparison.FORMATS", {"dint3": DINT3})
    monkeypatch.setattr("quant.comparison.SCALINGS", ("none", "smoothquant"))
    choices = {"format": "dint3", "scaling": "smoothquant", "rounding": "optq"}
    metrics = quantize(str(tiny_directory), out=tmp_path / "out", **choices, windows=3, full_table=True, quiet=True)
    assert len(metrics["rows"]) == 1 + 8
    assert [row["name"] for row in metrics["rows"] if row["chosen"]] == ["W3A8 dINT3, SmoothQuant, OPTQ"]
    errors = {row["name"]: row["output_error"]["total"] for row in metrics["rows"][1:]}
    assert errors["W3A8 dINT3, SmoothQuant, clipped, OPTQ"] < 0.7 * errors["W3A8 dINT3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "int5"}, "unknown format 'int5'"),
        ({"scaling": "magic"}, "scaling is 'magic': known are none, smoothquant, awq, aqas"),
        ({"rounding": "up"}, "rounding is 'up': known are rtn, optq"),
        ({"form": "round"}, "form is 'round'"),
        ({"clipping": "all"}, "clipping is 'all': known are none, awq"),
        ({"activations": "int4"}, "activations is 'int4'"),
        ({"group_size": 48}, r"--group-size 48: model\.decoder\.layers\.0\.self_attn\.q_proj has 64 input"),
        ({"format": "fp4_e2m1", "form": "asymmetric"}, "form is 'asymmetric': FP4 E2M1 takes no zero-point"),
        ({"calibration_length": 65}, "--calibration-length 65: the model has 64 positions"),
        ({"calibration_length": 0}, "--calibration-length 0"),
        ({"windows": 0}, "--windows 0"),
        ({"text": Path("none.txt")}, r"--text none\.txt: cannot be read"),
        ({"calibration_text": Path("none.txt")}, r"--calibration-text none\.txt: cannot be read"),
        ({"model": "/no/such/model"}, "no such directory"),
        ({"table": False, "full_table": True}, "--full-table: --no-table compares nothing; leave out one"),
        ({"table": False, "text": Path("a.txt")}, r"--text a\.txt: --no-table compares nothing"),
        ({"table": False, "text": [5, 6, 7]}, "--text: --no-table compares nothing"),
        ({"table": False, "dataset": "wikitext"}, "--dataset wikitext: --no-table compares nothing"),
        ({"table": False, "windows": 3}, "--windows 3: --no-table compares nothing"),
        ({"table": False, "execution": "integer"}, "--execution integer: --no-table compares nothing"),
        *(
            ({"table": False, "scaling": "none", option: value}, "W4A8 dINT4 needs no calibration, and --no-table")
            for option, value in (
                ("calibration_length", 32),
                ("calibration_tokens", 64),
                ("calibration_text", [5] * 99),
                ("calibration_dataset", "wikitext"),
            )
        ),
    ],
)
def test_bad_input_leaves_nothing(tiny_directory: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        quantize(**{"model": str(tiny_directory), "out": tmp_path / "out", "quiet": True, **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_calibration_text_shorter_than_its_length(tiny_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("A few words only.")
    with pytest.raises(InputError, match=r"short\.txt: \d+ tokens, but --calibration-length is 64"):
        quantize(str(tiny_directory), out=tmp_path / "out", calibration_text=tmp_path / "short.txt", quiet=True)


def test_operands_of_something_else(tiny_directory: Path, tmp_path: Path) -> None:
    for directory, message in ((tmp_path / "none", "no such directory"), (tiny_directory, "not quantized by dint")):
        with pytest.raises(InputError, match=message):
            operands(directory, out=tmp_path / "out", quiet=True)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("blocker", ["a file", "inside a file"])
def test_unwritable_output(tiny_directory: Path, tmp_path: Path, blocker: str) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" if blocker == "a file" else tmp_path / "file" / "out"
    with pytest.raises(InputError, match="cannot be written"):
        quantize(str(tiny_directory), out=out, quiet=True)


def test_no_space_left(tiny_directory: Path, tmp_path: Path) -> None:
    """A limit on the size of files makes writing the weights fail half-way."""
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom quant.command import quantize\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "quantize(sys.argv[1], out=Path(sys.argv[2]), table=False, scaling='none', quiet=True)"
    )
    out = tmp_path / "out"
    command = [sys.executable, "-c", code, str(tiny_directory), str(out)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 1
    assert f"InputError: --out {out}: cannot be written (" in result.stderr
    assert not out.exists()


def test_interruption_leaves_the_previous_result(tiny_directory: Path, tmp_path: Path) -> None:
    """Ctrl-C during the comparison: what `out` had before stays, nothing half-written is left, and the next run works."""
    out = tmp_path / "out"
    quantize(str(tiny_directory), out=out, format="int4", scaling="none", table=False, quiet=True)
    before = {file.name: sha256_file(file) for file in out.iterdir()}
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from quant import command, comparison, evaluation, output_error, recipe, streamed\n"
        "compare = command._compare\n"  # nothing is left to import there: an interrupt in the midst of that may be lost
        "def announce(*arguments):\n    print('comparing', flush=True)\n    return compare(*arguments)\n"
        "command._compare = announce\ncommand.quantize(sys.argv[1], out=Path(sys.argv[2]), quiet=True)"
    )
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", code, str(tiny_directory), str(out)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"comparing\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    assert process.returncode != 0
    assert b"KeyboardInterrupt" in errors
    assert {file.name: sha256_file(file) for file in out.iterdir()} == before
    quantize(str(tiny_directory), out=out, format="dint4", scaling="none", table=False, quiet=True)
    assert {file.name for file in out.iterdir()} == set(before)
    assert Operands.load(out / "operands.npz").number_format.name == "dint4"


def test_what_was_measured_before_an_interruption_is_not_measured_again(
    tiny_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quant.comparison._USUAL", (Recipe("int4"), Recipe("dint4"), Recipe("int3")))
    measured: list[str] = []
    measure = output_error.output_errors

    def counted(model: Any, quantized: QuantizedModel, inputs: Any) -> Any:
        measured.append(quantized.recipe.weights)
        if measured == ["int4", "dint4", "int3"]:  # the third is interrupted, once
            raise KeyboardInterrupt
        return measure(model, quantized, inputs)

    monkeypatch.setattr(output_error, "output_errors", counted)

    def run(out: str) -> None:
        quantize(str(tiny_directory), out=tmp_path / out, scaling="none", windows=2, quiet=True)

    with pytest.raises(KeyboardInterrupt):
        run("out")
    run("out")
    assert measured == ["int4", "dint4", "int3", "int3"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    run("whole")
    for file in (tmp_path / "whole").iterdir():
        assert file.read_bytes() == (tmp_path / "out" / file.name).read_bytes(), file.name
