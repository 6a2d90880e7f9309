#!/bin/sh
# Run retouch-export with the given arguments on the model volume, which gets its layout the first time.
set -eu
[ -d "$RETOUCH_MODEL_REPOSITORY/fastsam" ] || cp -r /opt/retouch/model_repository/. "$RETOUCH_MODEL_REPOSITORY/"
exec retouch-export "$@"
