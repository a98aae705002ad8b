"""Simulation of the MAC unit: operand streams, cocotb benches, and the simulators that run them."""

from .stimulus import Stimulus

__all__ = ["Stimulus"]
