#!/bin/sh
# Serve the models of $TRITON_MODELS with the weights of /models; further arguments go to tritonserver.
set -eu
models=${TRITON_MODELS:-fastsam clip_text clip_image lama qwen_text_encoder qwen_vae_encoder qwen_vae_decoder qwen_image_transformer qwen_image_edit_transformer qwen_image qwen_image_edit}
"$(dirname "$0")/lay_out.sh"
set -- \
  --model-repository="$RETOUCH_MODEL_REPOSITORY" \
  --model-control-mode=explicit \
  --disable-auto-complete-config \
  --exit-timeout-secs="${TRITON_EXIT_TIMEOUT_S:-120}" \
  "$@"
loaded=
for model in $models; do
  # A checkpoint need not use every stage: what has no weights is left out, and the gateway says what it misses.
  if ls -d "$RETOUCH_MODEL_REPOSITORY/$model"/[0-9]*/ >/dev/null 2>&1; then
    set -- "$@" "--load-model=$model"
    loaded="$loaded $model"
  else
    echo "no weights of $model in the model volume: it is left out" >&2
  fi
done
[ -n "$loaded" ] || { echo "no weights of any model in the model volume: export some first" >&2; exit 1; }
exec tritonserver "$@"
