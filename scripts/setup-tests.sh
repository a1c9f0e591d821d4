#!/usr/bin/env bash
# Installs what the tests need beyond Rust, on Debian and Ubuntu: a browser for the pages, and the full Fashion-MNIST.
# Does nothing, quickly, where all of it is present.
set -euo pipefail

browser=(chromium chromium-driver)
! grep -qs '^ID=ubuntu' /etc/os-release || browser=(chromium-browser chromium-chromedriver)

missing=()
command -v chromium chromium-browser google-chrome >/dev/null || missing+=("${browser[0]}")
command -v chromedriver >/dev/null || missing+=("${browser[1]}")
[ -e /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ] || missing+=(dataset-fashion-mnist)
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
    echo "please install what corresponds to Debian's packages: ${missing[*]}" >&2
    exit 1
}

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
# A fresh machine may be busy with its own first updates: wait for the lock.
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 "$@"
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "installing ${missing[*]}"
# The package lists of a fresh machine may be empty or stale: they are refreshed if the first try fails.
install() { apt install --no-install-recommends "${missing[@]}"; }
{ install || { apt update && install; }; } >"$log" 2>&1 || {
    cat "$log" >&2
    exit 1
}
