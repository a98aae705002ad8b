"""Errors whose message is meant for the user: one line that names the parameter, its value, the limit and the way out."""

__all__ = ["DintError", "InputError", "ToolError"]


class DintError(Exception):
    """Base of everything that the command line reports in one line, without a traceback."""


class InputError(DintError, ValueError):
    """What was asked for cannot be done: a wrong argument or an unusable input file."""


class ToolError(DintError, RuntimeError):
    """An external tool is missing, failed, or gave an answer that cannot be trusted."""
