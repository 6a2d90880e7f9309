"""Triton: found, started, kept alive, asked over gRPC, alone or one of several."""
