#!/usr/bin/env bash
# What it takes to start a trial on the CPU: from its assignment to the end of an epoch of one step, with evaluation and
# checkpoint, in a worker that has trained before and in a new one.
#
#   scripts/bench-start.sh BINARY [--python PYTHON] [--nets mlp,convnet,resnet8] [--trials 30]
#
# PYTHON needs numpy. Markdown goes to standard output, as docs/results.md quotes it.
set -euo pipefail
python=python3
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=$2 && shift 2 ;;
        *) arguments+=("$1") && shift ;;
    esac
done
exec "$python" "$(dirname "$0")/bench-start.py" "${arguments[@]}"
