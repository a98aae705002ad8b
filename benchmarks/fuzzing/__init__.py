# SPDX-License-Identifier: Apache-2.0
"""Fuzzing: malformed input of every kind that the tools read, and what they may make of it."""
