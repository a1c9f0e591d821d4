#!/usr/bin/env bash
# Installs what the tests need beyond Rust, on Debian and Ubuntu: a browser for the pages, and the full Fashion-MNIST.
# Does nothing, quickly, where all of it is present.
set -euo pipefail

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] || missing+=(dataset-fashion-mnist)
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
    echo "please install what corresponds to Debian's packages: ${missing[*]}" >&2
    exit 1
}

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
install() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing ${missing[*]}"
# The package lists of a fresh machine may be empty or stale: refresh them only if the first try fails.
install >"$log" 2>&1 || { "${as_root[@]}" apt-get update -qq && install; } >>"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
