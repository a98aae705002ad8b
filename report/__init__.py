# SPDX-License-Identifier: Apache-2.0
"""One static page and its machine-readable twin, made from plain results: runs no tool and measures nothing."""
