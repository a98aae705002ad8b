"""Measurements that take longer than a test: run by targets of their own."""
