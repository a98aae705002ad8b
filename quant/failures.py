# SPDX-License-Identifier: Apache-2.0
"""What other libraries raise, told in one line: dozens of kinds of exceptions, some with messages of many lines."""

from __future__ import annotations

__all__ = ["hub_trouble", "reason"]

#: By name of an exception of the hub's clients, which change where they define them: what it means.
_UNREACHED = ("ConnectionError", "LocalEntryNotFoundError", "TransportError")
_UNKNOWN = ("RepositoryNotFoundError", "DatasetNotFoundError")
_GATED = "GatedRepoError"


def reason(error: BaseException) -> str:
    """The first line of an exception's message; its kind where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def hub_trouble(error: BaseException, way_out: str) -> str | None:
    """Why the Hugging Face hub did not give what was asked for, and the `way_out`; None where it is not due to the hub."""
    kinds = [one.__name__ for one in type(error).__mro__]
    if _GATED in kinds:
        return f"the hub gives it only to those who have asked for access on its page ('hf auth login'); or {way_out}"
    if any(one in kinds for one in _UNKNOWN):
        return f"the hub has none of this name, or a private one; check the name, or {way_out}"
    if any(one in kinds for one in _UNREACHED):
        return f"the hub cannot be reached ({reason(error)}); without a network {way_out}"
    return None
