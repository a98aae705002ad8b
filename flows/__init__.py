# SPDX-License-Identifier: Apache-2.0
"""The flows that people already have: files for FuseSoC, OpenROAD-flow-scripts and LibreLane, SAIF, and rules for figures."""
