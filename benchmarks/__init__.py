"""Measurements anyone can repeat: `python -m benchmarks.gateway_overhead`, `.step_batching`."""
