"""Settings of durable jobs that deployments name and this tree does not have yet."""

AWAITED = frozenset(
    {"RETOUCH_DATABASE_URL", "RETOUCH_DRAIN_S", "RETOUCH_STORE_URL", "RETOUCH_WORKER_ID"}
)
