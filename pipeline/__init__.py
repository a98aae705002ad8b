# SPDX-License-Identifier: Apache-2.0
"""The main job: stages from the model to the report, each reused while its inputs stay the same."""
