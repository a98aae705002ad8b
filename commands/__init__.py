# SPDX-License-Identifier: Apache-2.0
"""The command line: options and help texts of every command. What a command does is in the folder it is about.

Everything heavy is imported when a command runs, so that `dint --help` takes no time.
"""
