"""What the gateway tells its operator: metrics, traces, logs."""
