# SPDX-License-Identifier: Apache-2.0
"""The command that looks at what is installed."""

from __future__ import annotations

from typing import Any

from commands.options import Quiet


def doctor(quiet: Quiet = False) -> Any:
    """Say what is installed, what is missing, what that disables, and the one command that installs it.

    Exit code 0 if the main job, dint report, can run here; 1 if not.

    Example: dint doctor
    """
    from pipeline.doctor import doctor as run

    return run(quiet=quiet)
