#!/usr/bin/env bash
# A short sweep of all of Fashion-MNIST on the CPU, ours against Optuna that drives PyTorch with the same space of recipes:
# best validation accuracy against the clock.
#
#   scripts/bench-sweep.sh BINARY FOLDER [--python PYTHON] [--minutes 20] [--seeds 1,2,3] [--turns] [--enqueue]
#
# PYTHON needs torch, optuna, and matplotlib for the plot. Both sides run at the same time, each on its own half of the
# cores; with --turns one after the other, each on all of them. FOLDER keeps what was measured; a seed that is there is
# not run again. Markdown goes to standard output, as docs/results.md quotes it, and the plot to FOLDER/sweep.svg.
set -euo pipefail
python=python3
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --python) python=$2 && shift 2 ;;
        *) arguments+=("$1") && shift ;;
    esac
done
exec "$python" "$(dirname "$0")/bench-sweep.py" "${arguments[@]}"
