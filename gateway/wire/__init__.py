"""What travels over HTTP on `/v1`: fields, their bounds, how results are shown."""
