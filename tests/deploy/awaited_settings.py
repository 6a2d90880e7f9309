"""Settings that deployments name and this tree does not have yet: pictures in an object store."""

AWAITED = frozenset({"RETOUCH_STORE_URL"})
