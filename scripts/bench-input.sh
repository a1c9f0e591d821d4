#!/usr/bin/env bash
# How long training waits for its input: share of an epoch's time, per network and augmentation, with one worker on one
# thread and with one on each core.
#
#   scripts/bench-input.sh BINARY [--python PYTHON] [--data fashion-mnist-mini] [--nets convnet,resnet8] [--epochs 2]
#
# Markdown goes to standard output, as docs/results.md quotes it.
set -euo pipefail
python=python3
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=$2 && shift 2 ;;
        *) arguments+=("$1") && shift ;;
    esac
done
exec "$python" "$(dirname "$0")/bench-input.py" "${arguments[@]}"
