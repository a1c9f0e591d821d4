#!/usr/bin/env bash
# Training steps on the CPU, ours and PyTorch's in turns: images/s and their ratio per network, image and threads.
#
#   scripts/bench-train.sh [--python PYTHON] [--nets resnet8,vit] [--images 32x32x3] [--threads 1,2] [--seconds 4]
#
# With --scaling, ours alone: on several threads against one, beside what as many processes of one thread do together. With
# --updates, ours alone: what other optimizers, clipping and averaging take, and the memory that a step asks for.
#
# PYTHON needs torch; timm for efficientnet_lite0. Markdown goes to standard output, as docs/results.md quotes it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=python3
if [ "${1:-}" = --python ]; then
    python=$2
    shift 2
fi
bench=${BENCH:-$(cargo bench --locked --workspace --bench train --no-run --message-format json |
    "$python" scripts/bench-binary.py train)}
exec "$python" scripts/bench-train.py "$bench" "$@"
