#!/usr/bin/env bash
# What leading a study costs, ours and Optuna's with its SQLite storage, one after the other: CPU time per trial and report,
# memory.
#
#   scripts/bench-overhead.sh [--python PYTHON] [--trials 10000] [--optuna-trials 1000] [--reports 5]
#
# PYTHON needs optuna. Markdown goes to standard output, as docs/results.md quotes it.
set -euo pipefail
cd "$(dirname "$0")/.."

python=python3
if [ "${1:-}" = --python ]; then
    python=$2
    shift 2
fi
bench=${BENCH:-$(cargo bench --locked --workspace --bench overhead --no-run --message-format json |
    "$python" scripts/bench-binary.py overhead)}
exec "$python" scripts/bench-overhead.py "$bench" "$@"
