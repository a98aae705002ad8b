# SPDX-License-Identifier: Apache-2.0
"""dINT: from a number format to the quantized model, the MAC unit, its verification and its price in silicon.

This module is the command line (`dint --help`) and the names that a user imports; everything is loaded when it is first
used, so that neither `dint --help` nor `import dint` imports torch. Once it is imported, `transformers` loads the
directories that `dint quantize` writes.
"""

from __future__ import annotations

import importlib
import signal
import sys
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer
import wrapt
from typer.exceptions import TyperException

from commands import gates, main_job, models, running, silicon, this_machine, units

if TYPE_CHECKING:
    from flows.command import generate
    from golden import (
        DINT3,
        DINT4,
        FORMATS,
        FP4_E2M1,
        INT3,
        INT4,
        INT8,
        AsymmetricConfig,
        BlockFormat,
        BlockMacConfig,
        DintError,
        InputError,
        MacConfig,
        NumberFormat,
        Operands,
        PeConfig,
        ToolError,
    )
    from hdl import Asymmetric, Mac, Pe
    from pipeline.simulate_command import simulate
    from quant.command import quantize
    from quant.evaluate_command import evaluate
    from synth.synthesize_command import synthesize

__all__ = [
    "DINT3",
    "DINT4",
    "FORMATS",
    "FP4_E2M1",
    "INT3",
    "INT4",
    "INT8",
    "Asymmetric",
    "AsymmetricConfig",
    "BlockFormat",
    "BlockMacConfig",
    "DintError",
    "InputError",
    "Mac",
    "MacConfig",
    "NumberFormat",
    "Operands",
    "Pe",
    "PeConfig",
    "ToolError",
    "evaluate",
    "generate",
    "main",
    "quantize",
    "simulate",
    "synthesize",
]

#: Where the names are; those of commands are functions with the commands' options and defaults.
_HOME = dict.fromkeys(__all__, "golden") | {
    "Asymmetric": "hdl",
    "Mac": "hdl",
    "Pe": "hdl",
    "evaluate": "quant.evaluate_command",
    "generate": "flows.command",
    "quantize": "quant.command",
    "simulate": "pipeline.simulate_command",
    "synthesize": "synth.synthesize_command",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dint' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


@wrapt.when_imported("transformers.quantizers.auto")
def _register_quantizer(_: Any) -> None:
    importlib.import_module("quant.huggingface").register()


app = typer.Typer(
    name="dint",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Hardware generator for the dINT MAC unit: quantize, generate, simulate, synthesize, report.",
)
running.add(app, "Begin here", this_machine.doctor, main_job.report, main_job.pareto, units.formats, silicon.pdks)
running.add(app, "Models", models.quantize, models.evaluate, models.operands, models.export, models.table3)
running.add(app, "Hardware", units.generate, units.simulate, silicon.synthesize, silicon.sweep, gates.check)
running.add(app, "Hardware", silicon.zero_points, silicon.codes)

_WELCOME = """\
dint makes the hardware of the dINT4 number format: quantized model, MAC unit, its verification, its price in silicon.

  dint doctor                    what is missing here, and the one command that installs it
  dint generate --out build/rtl  Verilog of a MAC unit, 16 lanes of dINT4 x INT8, with constraints; in a second
  dint report                    the main job, from a language model to the page build/report/index.html; in minutes

`dint --help` lists all commands, `dint COMMAND --help` has an example of each; `dint --install-completion` completes names.
"""


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    running.show_tracebacks(debug)
    if version:
        from importlib.metadata import version as of

        print(f"dint {of('dint')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(_WELCOME, end="")


_INTERRUPTED = 128 + signal.SIGINT


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Python drops an interrupt that arrives in a callback, as of the import system: it is sent once more, a moment later."""
    if isinstance(lost.exc_value, KeyboardInterrupt):
        main_thread = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, [main_thread, signal.SIGINT]).start()
    else:
        sys.__unraisablehook__(lost)


def main() -> None:
    """Entry point of the command line: errors in one line, exit code 1; 130 when interrupted by Ctrl-C or SIGTERM."""
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        sys.unraisablehook = _interrupt_again
        sys.exit(app(prog_name="dint", standalone_mode=False))
    except Exception as error:
        from golden.errors import DintError, one_line  # not before: they come with numpy

        if isinstance(error, TyperException):  # options that do not exist, lack a value, or have one of another type
            if message := error.format_message():
                command = getattr(error, "ctx", None)  # of typer: which one was given them
                of = command.command_path if command is not None else "dint"
                print(f"error: {one_line(message).rstrip('.')}; see '{of} --help'", file=sys.stderr)
            sys.exit(error.exit_code)
        if running.tracebacks_shown() or not isinstance(error, DintError | OSError | ModuleNotFoundError):
            raise
        way_out = "; 'dint doctor' says how to install it" if isinstance(error, ModuleNotFoundError) else ""
        print(f"error: {one_line(str(error))}{way_out}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:  # typer makes that code of an interrupt
            raise
        print("interrupted; run the same command again to go on", file=sys.stderr)
        # An interrupt in text that is executed, as by dataclasses while torch is imported, is noted by Python, which then ends
        # itself by the signal whatever the exit code. Any other text clears that note (CPython's `run_eval_code_obj`).
        exec("")
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
