"""Faults planted into the running code, and the tests that must notice them."""
