#!/usr/bin/env bash
# Cuts DejaVu Sans (fonts-dejavu-core of Debian) down to the letters that figures are written with, by `fonttools` of PyPI.
set -euo pipefail
cd "$(dirname "$0")/.."
letters=U+0020-007E,U+00A0-00FF,U+0391-03C9,U+2010-2026,U+2032,U+2070-209F,U+2190-2193,U+2212,U+221E,U+2248,U+2260
letters+=,U+2264,U+2265,U+25CB,U+25CF,U+2713,U+2715,U+2016
fonttools subset /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf --unicodes="$letters" --layout-features='' --no-hinting \
    --output-file=web/assets/figures.ttf
