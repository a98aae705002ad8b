# SPDX-License-Identifier: Apache-2.0
"""`dint sweep`: many units on many kits at many clocks, each a process of its own, here or on a cluster."""
