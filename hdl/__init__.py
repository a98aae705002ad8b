"""Hardware of the MAC unit: an Amaranth component, and Verilog with its companion files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .mac import Mac

__all__ = ["Mac"]


def __getattr__(name: str) -> Any:
    # Amaranth is loaded when hardware is built, not when the command line starts.
    if name == "Mac":
        from .mac import Mac

        return Mac
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
