#!/usr/bin/env bash
# The leaderboard of 50,000 trials of 30 reports each beside optuna-dashboard on the same trials: builds the demo, makes
# the store and its copy for Optuna, and prints what docs/results.md quotes. Needs chromium, chromedriver, wrk and
# optuna-dashboard: `scripts/bench-page.sh [TRIALS]`, with OPTUNA_DASHBOARD for where that is.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release -p nightsweep-web --example demo
# In memory: a made-up history commits ten thousand times, and a disk would wait for each.
folder=$(mktemp -d -p "${BENCH_FOLDER:-/dev/shm}")
trap 'rm -rf "$folder"' EXIT
python3 scripts/bench-page.py --demo "${CARGO_TARGET_DIR:-target}/release/examples/demo" --folder "$folder" \
    --trials "${1:-50000}" --optuna-dashboard "${OPTUNA_DASHBOARD:-optuna-dashboard}"
