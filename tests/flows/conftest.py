# SPDX-License-Identifier: Apache-2.0
"""Made-up results of a report, shared with the report's tests."""

from tests.report.conftest import make_results

__all__ = ["make_results"]
