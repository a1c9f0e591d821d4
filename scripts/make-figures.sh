#!/usr/bin/env bash
# Draws every figure of a made-up study into docs/images:
#   scripts/make-figures.sh target/release/nightsweep
# The study is that of web/examples/demo.rs, so nothing in it was measured.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "${1:?the binary that draws}")
runs=$(mktemp -d)
trap 'rm -rf "$runs"' EXIT
# The times on the axes are those of the makers, and the same in each run.
export TZ=UTC
cargo run --locked --release -p nightsweep-web --example demo -- --store "$runs/store.sqlite" --write
mkdir -p docs/images
draw() { "$binary" --runs "$runs" plot "$1" -o "docs/images/$1.$2"; }
for figure in history parallel importance slice edf curves slots rungs map pareto budget failures throughput; do
    draw "$figure" svg
done
# Fields of many cells and dots with rims take less as pixels.
for figure in contour rank; do
    draw "$figure" png
done
du -sh docs/images
