# SPDX-License-Identifier: Apache-2.0
"""Synthesis, timing and energy on cell libraries: Yosys, OpenSTA, Icarus, and the fair comparison built on them."""
