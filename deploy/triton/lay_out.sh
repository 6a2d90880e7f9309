#!/bin/sh
# Make the repository that Triton serves: this image's code and configs, and links to the volume's weights.
# The volume may be read-only and shared: code always fits the image. A config.pbtxt in the volume wins over the image's.
set -eu
code=${MODEL_CODE:-/opt/retouch/model_repository}
weights=${MODEL_WEIGHTS:-/models}
served=$RETOUCH_MODEL_REPOSITORY

# Whether a version folder of the volume holds more than code.
has_weights() {
  for file in "$1"*; do
    case $(basename "$file") in
      model.py | __pycache__) ;;
      *) [ ! -e "$file" ] || return 0 ;;
    esac
  done
  return 1
}

# One model, whose config and entry point are in folder $2.
lay_out() {
  mkdir -p "$served/$1"
  cp "$2/config.pbtxt" "$served/$1/"
  [ ! -f "$weights/$1/config.pbtxt" ] || cp "$weights/$1/config.pbtxt" "$served/$1/"
  [ ! -d "$2/configs" ] || cp -r "$2/configs" "$served/$1/"
  for version in "$weights/$1"/[0-9]*/; do
    [ -d "$version" ] || continue
    # A version that is only the checkout's code, as of a fastsam that nobody exported, cannot be loaded.
    [ "$2" = "$weights/$1/" ] || has_weights "$version" || continue
    target=$served/$1/$(basename "$version")
    mkdir -p "$target"
    for file in "$version"*; do
      ln -sfn "$file" "$target/$(basename "$file")"
    done
    rm -rf "$target/model.py" "$target/__pycache__"
    for entry in "$2/model.py" "$2/1/model.py" "$version/model.py"; do
      [ ! -f "$entry" ] || { cp "$entry" "$target/model.py"; break; }
    done
  done
}

mkdir -p "$served"
if [ "$served" -ef "$weights" ] || [ "$served" -ef "$code" ]; then
  echo "RETOUCH_MODEL_REPOSITORY is $served, which is laid out anew: it must be a folder of its own" >&2
  exit 1
fi
# A container that starts again may find an older layout, with versions that the volume no longer has.
find "$served" -mindepth 1 -delete
for folder in "$code"/*/; do
  model=$(basename "$folder")
  if [ -f "$folder/config.pbtxt" ]; then
    lay_out "$model" "$folder"
  else # no model: code that models share
    cp -r "$code/$model" "$served/"
  fi
done
# Models that an export made, and that the image does not know.
for folder in "$weights"/*/; do
  model=$(basename "$folder")
  [ -e "$code/$model" ] || [ ! -f "$folder/config.pbtxt" ] || lay_out "$model" "$folder"
done
