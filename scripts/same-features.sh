#!/usr/bin/env bash
# `cargo run --release` and `cargo test --release --workspace` share one build of the dependencies as long as both ask
# for the same features of everything that burn is built on; a difference costs ten minutes. This compares them.
set -euo pipefail
cd "$(dirname "$0")/.."

features() { cargo tree --locked --prefix none -f '{p} {f}' "$@" | sed 's/ (\*)$//' | grep -v '^nightsweep' | sort -u; }

below_burn=$(cargo tree --locked --prefix none -e normal,build -p burn -f '{p}' | sed 's/ (\*)$//' | sort -u)
run=$(features -e normal,build)
test=$(features --workspace -e normal,build,dev)
only_in_tests=$(comm -13 <(echo "$run") <(echo "$test") | grep -F -f <(echo "$below_burn" | awk '{print $1" "$2" "}') || true)
if [ -n "$only_in_tests" ]; then
    echo "these have other features in tests than in the program; name them in the root Cargo.toml's [dependencies]:" >&2
    echo "$only_in_tests" >&2
    exit 1
fi
