"""Image work without I/O: arrays in, arrays out."""
