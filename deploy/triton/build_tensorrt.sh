#!/bin/sh
# Build TensorRT plans from the FP32 graphs of a model repository, into a repository of their own for the stock
# Triton on a GPU. Never run on a GPU where it was written: its steps are tested with a stand-in for trtexec.
#   FER_TENSORRT_IMAGE   used where there is no trtexec: TensorRT of Triton 24.10 (nvcr.io/nvidia/tensorrt:24.10-py3)
set -eu
usage="usage: deploy/triton/build_tensorrt.sh [--fp16] [MODELS [PLANS]]

Build PLANS/emotion_<name>/ from the graph of each MODELS/emotion_<name>/ that is no variant of another, for 1 to
64 faces, best at 8. A plan fits one kind of GPU, one TensorRT and one graph: it is built again when one of them,
or --fp16, has changed since. Needs a GPU, and trtexec or docker with NVIDIA's container toolkit.

  --fp16   let TensorRT compute in half precision where that is faster
  MODELS   model repository (default: model_repository)
  PLANS    where plans are written (default: .run/tensorrt)"
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
image=${FER_TENSORRT_IMAGE:-nvcr.io/nvidia/tensorrt:24.10-py3}
PATH=$PATH:/usr/src/tensorrt/bin

fail() { echo "tensorrt: $*" >&2; exit 1; }

fp16=
case "${1:-}" in
-h | --help) echo "$usage"; exit 0 ;;
--fp16) fp16=--fp16; shift ;;
-*) fail "no option $1; see --help" ;;
esac
models=${1:-$root/model_repository}
plans=${2:-$root/.run/tensorrt}
set -- "$models"/emotion_*/1/model.onnx
[ -e "$1" ] || fail "$models holds no emotion_<name>/1/model.onnx"
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | sort -u | paste -sd, -)
[ -n "$gpu" ] || fail "nvidia-smi names no GPU; a plan can only be built on the kind of GPU that runs it"
mkdir -p "$plans" || fail "$plans cannot be made"

if ! command -v trtexec >/dev/null; then
  [ -z "${FER_IN_IMAGE:-}" ] || fail "the image has no trtexec"
  command -v docker >/dev/null || fail "neither trtexec nor docker is on the PATH"
  exec docker run --rm --gpus all --network none --user "$(id -u):$(id -g)" --env FER_IN_IMAGE=1 \
    --volume "$(cd "$models" && pwd):/models:ro" --volume "$(cd "$plans" && pwd):/plans" \
    --volume "$here/build_tensorrt.sh:/build_tensorrt.sh:ro" \
    --entrypoint /bin/sh "$image" /build_tensorrt.sh $fp16 /models /plans
fi

tensorrt=$(trtexec --help 2>/dev/null | sed -n 's/.*\[TensorRT v\([0-9]*\)\].*/\1/p' | head -n 1)
[ -n "$tensorrt" ] || fail "trtexec does not tell its TensorRT version"
beside=
trap 'rm -rf "$beside" "$beside.old"' EXIT
trap 'exit 130' INT TERM
for graph; do
  folder=${graph%/1/model.onnx}
  name=${folder##*/}
  # a variant's card says how it was made; TensorRT chooses precision itself, from the FP32 graph
  if grep -qs 'python -m training variant ' "$folder/card.json"; then
    echo "tensorrt: $name left out: a variant of another model"
    continue
  fi
  key="gpu=$gpu tensorrt=$tensorrt onnx=$(sha256sum <"$graph" | cut -d ' ' -f 1) options=$fp16"
  if [ -s "$plans/$name/1/model.plan" ] && [ "$(cat "$plans/$name/key" 2>/dev/null)" = "$key" ]; then
    echo "tensorrt: $name is up to date"
    continue
  fi
  echo "tensorrt: building $name for $gpu"
  beside=$(mktemp -d "$plans/.partial-XXXXXX")
  mkdir "$beside/1"
  trtexec --onnx="$graph" --saveEngine="$beside/1/model.plan" --skipInference $fp16 \
    --minShapes=face:1x112x112x3 --optShapes=face:8x112x112x3 --maxShapes=face:64x112x112x3 \
    >"$beside/log" 2>&1 || fail "$name: trtexec failed: $(grep -F '[E]' "$beside/log" | tail -n 1)"
  [ -s "$beside/1/model.plan" ] || fail "$name: trtexec wrote no plan"
  rm "$beside/log"
  sed -e 's/^backend: "onnxruntime"$/platform: "tensorrt_plan"/' -e 's/KIND_CPU/KIND_GPU/' \
    -e '/_op_thread_count/d' "$folder/config.pbtxt" >"$beside/config.pbtxt"
  grep -q '^platform: "tensorrt_plan"$' "$beside/config.pbtxt" || fail "$folder/config.pbtxt names no onnxruntime"
  echo "$key" >"$beside/key"
  chmod 755 "$beside"
  [ ! -e "$plans/$name" ] || mv "$plans/$name" "$beside.old"
  mv "$beside" "$plans/$name"
  rm -rf "$beside.old"
done
