# SPDX-License-Identifier: Apache-2.0
"""`make mutation`, its second half: do the unit tests notice when a line of the arithmetic is wrong?

    python -m benchmarks.python_mutation [--out DIR] [--jobs N] [FILE ...]

With FILE only these are changed; the record keeps what it has of the others, as long as they and their tests are as they were.

One change at a time in the syntax tree of the golden models and of dINT's rounding: another operator, comparison or constant, a
condition that is inverted or always the same, min for max, a result or a statement that is missing. Every mutant is a process
forked after all libraries are loaded, in which the changed module takes the place of the file's, and pytest runs the tests of
the module, quick ones first, until one fails. (mutmut 3.8 leaves decorated functions alone, here every property, and cosmic-ray
starts the interpreter and its libraries for each mutant.)
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from joblib import Parallel, delayed
from rich.console import Console

from golden.artifacts import output_directory, read_json
from golden.errors import ToolError
from pipeline.checks import DIRECTORY, write_record
from pipeline.stages import source_hash

__all__ = ["TARGETS", "measure", "mutants"]

RECORD = "mutation-python.json"
#: What is changed, and whose tests must notice.
TARGETS = {
    "golden/catalogue.py": [
        "tests/golden/test_table_model.py",
        "tests/golden/test_number_format.py",
        "tests/golden/test_catalogue.py",
        "tests/golden/test_block_table_model.py",
    ],
    "golden/parameters.py": ["tests/golden/test_unit.py", "tests/golden/test_number_format.py", "tests/golden/test_mac.py"],
    "golden/unit.py": ["tests/golden/test_unit.py", "tests/golden/test_mac.py", "tests/golden/test_pe.py"],
    "golden/asymmetric_parts.py": ["tests/golden/test_asymmetric_parts.py", "tests/golden/test_unit.py"],
    "golden/number_format.py": ["tests/golden/test_number_format.py", "tests/golden/test_mac.py"],
    "golden/mac.py": ["tests/golden/test_mac.py"],
    "golden/packing.py": ["tests/golden/test_packing.py"],
    "golden/pe.py": ["tests/golden/test_pe.py"],
    "golden/asymmetric.py": ["tests/golden/test_asymmetric.py", "tests/golden/test_asymmetric_unit.py"],
    "golden/operands.py": ["tests/golden/test_operands.py", "tests/golden/test_block_operands.py"],
    "golden/scale_encoding.py": ["tests/golden/test_scale_encoding.py", "tests/golden/test_block_dot.py"],
    "golden/codebook.py": ["tests/golden/test_block_format.py", "tests/golden/test_lobcq.py"],
    "golden/block_format.py": ["tests/golden/test_block_format.py", "tests/golden/test_block_dot.py"],
    "golden/block_dot.py": ["tests/golden/test_block_dot.py"],
    "golden/lobcq.py": ["tests/golden/test_lobcq.py"],
    "golden/block_mac.py": ["tests/golden/test_block_mac.py", "tests/golden/test_block_mac_limits.py"],
    "golden/block_registers.py": ["tests/golden/test_block_mac.py", "tests/golden/test_block_mac_limits.py"],
    "golden/block_sum.py": ["tests/golden/test_block_mac.py", "tests/golden/test_block_mac_limits.py"],
    "golden/codebook_memory.py": ["tests/golden/test_block_mac.py"],
    "quant/weights.py": ["tests/quant/test_weights.py"],
}

_LEAST_DECIDES = "of the greatest activation: w x 127 fits wherever w x -128 does"
_CHECKED_NEXT = "the MAC unit that the next line makes refuses the same"
#: Survivors argued to be equivalent: the file where the line alone could be another's, the mutated line as it stands there,
#: what was done to it unless it is all the same, and why no test can tell.
REASONS = {
    "if thresholds.shape[1] > 15 or steps.shape[1] == 1:": "which of two ways is taken, of the same result",
    "return torch.searchsorted(thresholds.contiguous(), steps.contiguous(), out_int32=True) -- True to False": "the same ranks",
    "byte, last = torch.arange(256, device=device), len(values) - 1  # codes of three bits are stored in four -- 256 to 257": (
        "no byte has that number"
    ),
    "if np.abs(values).max() < 128: -- Lt to LtE": "no format's greatest value is 128",
    "if np.abs(values).max() < 128: -- 128 to 129": "no format's greatest value is 128",
    "return self.encode_one(self.maximum if x > 0 else self.minimum) -- Gt to GtE": "x is infinite here",
    "return self.encode_one(self.maximum if x > 0 else self.minimum) -- 0 to 1": "x is infinite here",
    "(1 if value > 0 else -1) if code in self.special_codes else int(value * self.unit / size) -- Gt to GtE": "it is not 0",
    "total = (total + half) % (2 * half) - half -- Add to Sub": "the same modulo 2 x half",
    "values = tuple((code + half) % (2 * half) - half for code in range(2 * half)) -- Add to Sub": "the same modulo 2 x half",
    "shown = (sums + added + half) % (2 * half) - half -- Add to Sub": "the same modulo 2 x half",
    "number_format.with_zero_point(0)  # refuses formats whose values are not evenly spaced -- 0 to 1": "refuses the same ones",
    "table = np.tile(np.arange(half_step), (own.steps + 1, 1)) -- 1 to 2": "what is more is never read",
    "activation = 0 -- 0 to 1": "the weight that it is multiplied by is zero",
    "least, greatest = -(1 << (activation_bits - 1)), (1 << (activation_bits - 1)) - 1 -- LShift to RShift": _LEAST_DECIDES,
    "least, greatest = -(1 << (activation_bits - 1)), (1 << (activation_bits - 1)) - 1 -- 1 to 2": _LEAST_DECIDES,
    "return codes.reshape(*array.shape[:-1], -1)[..., :count] -- 1 to 2": "numpy takes any negative length for what is left",
    "totals = self.checked_activations(activations).sum(axis=-1).tolist() -- without USub": "of two axes, the last is number 1",
    "total = (added if starts else total + added) + half & 2 * half - 1 -- Add to Sub": "the same modulo 2 x half",
    "mirrored = positive > negative if -self.minimum > self.maximum else negative > positive -- Gt to GtE": (
        "of the lengths of the sides: with equal ones nothing is mirrored"
    ),
    "pairs = torch.stack((values[(byte & 15).clamp(max=last)], values[(byte >> 4).clamp(max=last)]), dim=-1) -- without USub": (
        "of two axes, the last is number 1"
    ),
    'return {"corrected": ((totals + half) % (2 * half) - half)[:, None]} -- Add to Sub': "the same modulo 2 x half",
    "if low > high: -- Gt to GtE": "equal ones have been refused before",
    "if max(map(abs, codewords), default=0) > LARGEST: -- 0 to 1": "of an empty table, which is refused next",
    "blocks = (left.shape[1] // size, size) -- left to right": "both have as many columns, or have been refused",
    "return None -- return None": "the same",
    "if x >= self.maximum: -- GtE to Gt": "the largest number is its own nearest",
    "significands, exponents = encoding.parts(np.where(known, codes, 0)) -- 0 to 1": "of NaN, which is out of reach anyway",
    "fresh, begins = True, np.zeros(len(starts), dtype=bool)  # whether the next operands begin a block -- True to False": (
        "after a reset a block's sum is zero, begun or not"
    ),
    "opening, ended = False, list[bool | None]() -- False to True": "a first block is added to zero, or to nothing",
    "total, exact = (kept + (addend or 0) + half) % (2 * half) - half, intact and addend is not None -- Add to Sub": (
        "the same modulo 2 x half"
    ),
    "signs, magnitudes = np.where(array > self.nan_code, -1, 1), array & self.nan_code -- Gt to GtE": (
        "of NaN, which has been refused before"
    ),
    "signs = np.where((wanted < 0) & (ranks > 0), self.sign_bit, 0) -- Lt to LtE": "zero has rank 0, and so no sign",
    "return guess if Fraction(2) ** guess <= x else guess - 1 -- LtE to Lt": (
        "a power of two is the end of the binade below, too, with the same code"
    ),
    "significands, exponents = self.parts(np.where(nan, 0, codes)) -- 0 to 1": "in the place of NaN, which is put there next",
    "thresholds = torch.from_numpy(number_format.thresholds(np.float64 if dtype == torch.float64 else np.float32))"
    " -- if True": "of float32 numbers the same ones exceed it",
    "selectors = Fraction(self.selector_bits, self.selector_block or 1) -- 1 to 2": "without codebooks there are no bits of it",
    "blocks = real.reshape(rows, -1, self.block) -- 1 to 2": "numpy takes any negative length for what is left",
    "parts = steps.reshape(rows, -1, self.selector_block) -- 1 to 2": "numpy takes any negative length for what is left",
    "shifts = np.where(counts, exponents - least[:, :, None], 0) -- 0 to 1": (
        "of blocks of zeros; as the only shift above zero it is beside sums of few bits"
    ),
    "golden/asymmetric_parts.py: def __post_init__(self) -> None: -- without super().__post_init__()": _CHECKED_NEXT,
    "golden/pe.py: def __post_init__(self) -> None: -- without super().__post_init__()": _CHECKED_NEXT,
    "golden/asymmetric.py: def __post_init__(self) -> None: -- without super().__post_init__()": _CHECKED_NEXT,
}

_SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.FloorDiv,), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,), ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,), ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,), ast.BitXor: (ast.BitOr,), ast.And: (ast.Or,), ast.Or: (ast.And,), ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt,), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
_NAMES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "amin": "amax",
    "amax": "amin",
    "left": "right",
    "right": "left",
}
_NAMES |= {"floor": "ceil", "ceil": "floor", "maximum": "minimum", "minimum": "maximum"}


def mutants(source: str) -> Iterator[tuple[int, str, ast.Module]]:
    """All mutants of a module: line, what was done to it, and its tree."""
    tree = ast.parse(source)
    for index, node in enumerate(_places(tree)):
        for what, change in _changes(node):
            changed = copy.deepcopy(tree)
            change(next(islice(_places(changed), index, None)))
            yield getattr(node, "lineno", 0), what, ast.fix_missing_locations(changed)


def number_of_mutants(source: str) -> int:
    """How many `mutants` a module has, without making them."""
    return sum(1 for node in _places(ast.parse(source)) for _ in _changes(node))


def _places(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes whose change can matter: not annotations, messages of errors, assertions, documentation or imports."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(node, (ast.Raise, ast.JoinedStr)):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: an assertion
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, (ast.Import, ast.ImportFrom)):
                yield from _places(child)


def _changes(node: ast.AST) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """What can be done to a node, in words, and the function that does it to a copy."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)):
        for other in _SWAPS.get(type(node.op), ()):
            yield f"{type(node.op).__name__} to {other.__name__}", partial(_set, "op", other())
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in _SWAPS.get(type(operator), ()):
                yield f"{type(operator).__name__} to {other.__name__}", partial(_put, "ops", place, other())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield f"without {type(node.op).__name__}", partial(_set, "operand", ast.UnaryOp(node.op, node.operand))
    if isinstance(node, ast.Constant) and isinstance(node.value, (bool, int)):
        value = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value} to {value}", partial(_set, "value", value)
    if isinstance(node, (ast.If, ast.IfExp)):
        for always in (True, False):
            yield f"if {always}", partial(_set, "test", ast.Constant(always))
    for field in ("id", "attr", "value"):
        name = getattr(node, field, None)
        if isinstance(name, str) and name in _NAMES:
            yield f"{name} to {_NAMES[name]}", partial(_set, field, _NAMES[name])
    if isinstance(node, ast.Return) and node.value is not None:
        yield "return None", partial(_set, "value", ast.Constant(None))
    for block in ("body", "orelse") if isinstance(node, ast.stmt) else ():
        for place, statement in enumerate(getattr(node, block, [])):
            call = isinstance(statement, ast.Expr) and not isinstance(statement.value, ast.Constant)
            if call or isinstance(statement, (ast.AugAssign, ast.Raise)):
                yield f"without {ast.unparse(statement).splitlines()[0]}", partial(_put, block, place, ast.Pass())


def _set(field: str, value: Any, node: ast.AST) -> None:
    setattr(node, field, value)


def _put(field: str, place: int, value: ast.AST, node: ast.AST) -> None:
    getattr(node, field)[place] = value


# Judging a mutant


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports one module from a syntax tree."""

    def __init__(self, module: str, file: str, tree: ast.Module) -> None:
        self._module, self._file, self._tree = module, file, tree

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:  # noqa: ARG002
        if fullname != self._module:
            return None
        return importlib.util.spec_from_file_location(fullname, self._file, loader=self)

    def exec_module(self, module: Any) -> None:
        exec(compile(self._tree, self._file, "exec"), module.__dict__)


class _QuickFirst:
    """Orders tests by how long they take, and notes it."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items.sort(key=lambda item: self.seconds.get(item.nodeid, 0.0))

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


def _run(
    file: str, tree: ast.Module, tests: Sequence[str], seconds: dict[str, float], cpu_s: int
) -> tuple[int, dict[str, float]]:
    """Exit status of pytest in a forked process with the module changed (negative: the signal that ended it), and durations."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(1, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))  # a mutant may never end
        for name in [name for name in sys.modules if name.partition(".")[0] in ("golden", "quant", "hdl", "sim", "synth")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Instead(file.removesuffix(".py").replace("/", "."), file, tree))
        # The first failure is enough: no smaller one is looked for.
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutation", deadline=None, derandomize=True, database=None, phases=phases)
        order = _QuickFirst(seconds)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-profile=mutation"]
        code = int(pytest.main([*options, *tests], plugins=[order]))
        os.write(write, json.dumps(order.seconds).encode())
        os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), json.loads(told) if told else {}


def _survives(file: str, index: int, tests: Sequence[str], seconds: dict[str, float], cpu_s: int) -> bool:
    return _run(file, _all(file)[index][2], tests, seconds, cpu_s)[0] == 0


@lru_cache(maxsize=1)
def _all(file: str) -> list[tuple[int, str, ast.Module]]:
    return list(mutants(Path(file).read_text()))


def measure(file: str, tests: Sequence[str], jobs: int = 2) -> dict[str, Any]:
    """The score of a module's tests: mutants, how many fail a test, and the others, one by one.

    Raises
    ------
    ToolError
        If the tests fail on the module as it is.
    """
    started = time.monotonic()
    cpu = time.process_time()
    status, seconds = _run(file, ast.parse(Path(file).read_text()), tests, {}, 3600)
    if status:
        raise ToolError(f"{file}: its tests fail without any change; repair them first")
    cpu_s = 20 + int(5 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime + cpu)
    count = len(_all(file))
    verdicts = Parallel(n_jobs=jobs)(delayed(_survives)(file, index, tests, seconds, cpu_s) for index in range(count))
    lines = Path(file).read_text().splitlines()
    survivors = [
        {"line": line, "change": what, "code": lines[line - 1].strip()}
        for (line, what, _), survived in zip(_all(file), verdicts, strict=True)
        if survived
    ]
    return {
        "file": file,
        "sources_sha256": source_hash([file, *tests]),
        "mutants": count,
        "killed": count - len(survivors),
        "score": (count - len(survivors)) / count,
        "survivors": survivors,
        "seconds": round(time.monotonic() - started, 1),
    }


def _recorded(record: Path) -> list[dict[str, Any]]:
    """What an earlier run found of modules that, tests included, are as they were then."""
    try:
        results: list[dict[str, Any]] = read_json(record)["results"]
        return [one for one in results if one["sources_sha256"] == source_hash([one["file"], *TARGETS[one["file"]]])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _reason(file: str, survivor: dict[str, Any]) -> str:
    code = survivor["code"]
    changed = f"{code} -- {survivor['change']}"
    return REASONS.get(f"{file}: {changed}") or REASONS.get(changed) or REASONS.get(code, "")


def _adjusted(results: Sequence[dict[str, Any]]) -> float:
    """Noticed mutants among those that `REASONS` does not argue to be equivalent."""
    equivalent = sum(bool(_reason(one["file"], survivor)) for one in results for survivor in one["survivors"])
    killed, count = (sum(one[key] for one in results) for key in ("killed", "mutants"))
    return float(killed / (count - equivalent)) if count > equivalent else 1.0


def _show(result: dict[str, Any], console: Console) -> None:
    console.print(
        f"{result['file']}: {result['killed']} of {result['mutants']} mutants killed: {result['score']:.1%}"
        f", without equivalent ones {_adjusted([result]):.1%}"
    )
    for one in result["survivors"]:
        console.print(f"  line {one['line']}: {one['change']}: {one['code']}  {_reason(result['file'], one)}", markup=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Change all modules, print the scores, write `mutation-python.json`; exit code 0 if 95 % are noticed, others explained."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.python_mutation", description="Score the unit tests.")
    parser.add_argument("files", nargs="*", help=f"modules to change (default: {', '.join(TARGETS)})")
    parser.add_argument("--out", type=Path, default=DIRECTORY, help="directory of mutation-python.json")
    parser.add_argument("--jobs", type=int, default=2, help="processes at a time")
    options = parser.parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False)
    known = {one["file"]: one for one in _recorded(options.out / RECORD)} if options.files else {}
    with output_directory(options.out) as scratch:
        for file in options.files or TARGETS:
            known[file] = measure(file, TARGETS[file], options.jobs)
            _show(known[file], console)
        results = [known[file] for file in TARGETS if file in known]
        for one in results:
            one["score_without_equivalent"] = _adjusted([one])
            for survivor in one["survivors"]:
                survivor["reason"] = _reason(one["file"], survivor)
        own = "benchmarks/python_mutation.py"
        about = sorted({own, *(source for result in results for source in (result["file"], *TARGETS[result["file"]]))})
        write_record(scratch / RECORD, about, results, whole=known.keys() >= TARGETS.keys())
    killed, count = (sum(result[key] for result in results) for key in ("killed", "mutants"))
    console.print(f"{killed} of {count} mutants killed: {killed / count:.1%}, without equivalent ones {_adjusted(results):.1%}")
    unexplained = [survivor for one in results for survivor in one["survivors"] if not survivor["reason"]]
    return int(killed < 0.95 * count or bool(unexplained))


if __name__ == "__main__":
    # Under its own name, so that other processes find what they are to run.
    raise SystemExit(importlib.import_module("benchmarks.python_mutation").main())
