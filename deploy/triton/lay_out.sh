#!/bin/sh
# Make the repository that Triton serves: this image's code and configs, and links to the volume's weights.
# The volume may be read-only and shared: code always fits the image. A config.pbtxt in the volume wins over the image's.
set -eu
code=${MODEL_CODE:-/opt/retouch/model_repository}
weights=${MODEL_WEIGHTS:-/models}
served=$RETOUCH_MODEL_REPOSITORY

mkdir -p "$served"
for folder in "$code"/*/; do
  model=$(basename "$folder")
  if [ ! -f "$folder/config.pbtxt" ]; then
    # No model: code that models share.
    cp -r "$code/$model" "$served/"
    continue
  fi
  mkdir -p "$served/$model"
  cp "$folder/config.pbtxt" "$served/$model/"
  [ ! -f "$weights/$model/config.pbtxt" ] || cp "$weights/$model/config.pbtxt" "$served/$model/"
  [ ! -d "$folder/configs" ] || cp -r "$folder/configs" "$served/$model/"
  entry=$folder/model.py
  [ -f "$entry" ] || entry=$folder/1/model.py
  for version in "$weights/$model"/[0-9]*/; do
    [ -d "$version" ] || continue
    target=$served/$model/$(basename "$version")
    mkdir -p "$target"
    for file in "$version"*; do
      ln -sfn "$file" "$target/$(basename "$file")"
    done
    rm -rf "$target/model.py" "$target/__pycache__"
    cp "$entry" "$target/model.py"
  done
done
