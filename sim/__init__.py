# SPDX-License-Identifier: Apache-2.0
"""Simulation of the MAC unit: operand streams, cocotb benches, and the simulators that run them."""

from .runner import SimulationMismatch
from .simulators import find_simulator
from .stimulus import Stimulus

__all__ = ["SimulationMismatch", "Stimulus", "find_simulator"]
