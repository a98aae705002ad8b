# SPDX-License-Identifier: Apache-2.0
"""Measurements that take longer than a test: run by targets of their own."""
