#!/bin/sh
# Serve the models of $TRITON_MODELS with the weights of /models; further arguments go to tritonserver.
set -eu
models=${TRITON_MODELS:-fastsam qwen_text_encoder qwen_vae_encoder qwen_vae_decoder qwen_image_transformer qwen_image_edit_transformer qwen_image qwen_image_edit}
"$(dirname "$0")/lay_out.sh"
set -- \
  --model-repository="$RETOUCH_MODEL_REPOSITORY" \
  --model-control-mode=explicit \
  --disable-auto-complete-config \
  --exit-timeout-secs="${TRITON_EXIT_TIMEOUT_S:-120}" \
  "$@"
for model in $models; do
  set -- "$@" "--load-model=$model"
done
exec tritonserver "$@"
