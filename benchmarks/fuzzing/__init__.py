"""Fuzzing: malformed input of every kind that the tools read, and what they may make of it."""
