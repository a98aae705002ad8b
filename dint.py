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

from commands.main_job import report
from commands.models import evaluate, export, operands, quantize, table3
from commands.silicon import codes, pdks, synthesize, zero_points
from commands.units import formats, generate, simulate
from golden.errors import DintError, one_line

if TYPE_CHECKING:
    from golden import (
        DINT3,
        DINT4,
        FORMATS,
        FP4_E2M1,
        INT3,
        INT4,
        INT8,
        AsymmetricConfig,
        MacConfig,
        NumberFormat,
        Operands,
        PeConfig,
    )
    from hdl import Asymmetric, Mac, Pe

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
    "Mac",
    "MacConfig",
    "NumberFormat",
    "Operands",
    "Pe",
    "PeConfig",
    "main",
]

_HOME = dict.fromkeys(__all__, "golden") | {"Asymmetric": "hdl", "Mac": "hdl", "Pe": "hdl"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'dint' has no attribute {name!r}")


@wrapt.when_imported("transformers.quantizers.auto")
def _register_quantizer(_: Any) -> None:
    importlib.import_module("quant.huggingface").register()


app = typer.Typer(
    name="dint",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Hardware generator for the dINT MAC unit: quantize, generate, simulate, synthesize, report.",
)


@app.callback()
def _options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False) -> None:
    global _debug
    _debug = debug


_debug = False


for _command in (
    quantize,
    generate,
    simulate,
    synthesize,
    report,
    evaluate,
    operands,
    export,
    table3,
    formats,
    pdks,
    codes,
    zero_points,
):
    app.command()(_command)


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
    except TyperException as error:  # options that do not exist, lack a value, or have one of another type
        if message := error.format_message():
            print(f"error: {one_line(message).rstrip('.')}; see 'dint --help'", file=sys.stderr)
        sys.exit(error.exit_code)
    except (DintError, OSError) as error:
        if _debug:
            raise
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(1)
    except (KeyboardInterrupt, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:  # typer makes that code of an interrupt
            raise
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(_INTERRUPTED)


if __name__ == "__main__":
    main()
