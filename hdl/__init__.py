# SPDX-License-Identifier: Apache-2.0
"""Hardware of MAC units and of the processing element: Amaranth components, and Verilog with its companion files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .asymmetric import Asymmetric
    from .block_mac import BlockMac
    from .mac import Mac
    from .pe import Pe

__all__ = ["Asymmetric", "BlockMac", "Mac", "Pe"]


def __getattr__(name: str) -> Any:
    # Amaranth is loaded when hardware is built, not when the command line starts.
    if name == "Asymmetric":
        from .asymmetric import Asymmetric

        return Asymmetric
    if name == "BlockMac":
        from .block_mac import BlockMac

        return BlockMac
    if name == "Mac":
        from .mac import Mac

        return Mac
    if name == "Pe":
        from .pe import Pe

        return Pe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
