"""The gateway: HTTP in, Triton out."""
