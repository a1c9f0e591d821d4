#!/usr/bin/env bash
# Checks with real PyTorch (pip install torch torchvision safetensors) that it loads our weights and gives our scores:
#   PYTHON=venv/bin/python scripts/check-pytorch.sh target/release/nightsweep
# First our ResNets beside torchvision's with the same weights, on the same image; then what `nightsweep export` writes.
set -euo pipefail
cd "$(dirname "$0")/.."
binary=$(realpath "${1:?the binary to check}")
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

TORCHVISION_FILES=$folder cargo test --locked --release --workspace --lib -- files_for_pytorch >"$folder/log" 2>&1 \
    || { cat "$folder/log"; exit 1; }
"$python" trainer/tests/golden/weights/check_torchvision.py "$folder"

cat > "$folder/tiny.toml" <<'TOML'
[study]
name = "tiny"
metric = "val_accuracy"
seed = 1
trials = 1
[data]
path = "fashion-mnist-mini"
val = 0.02
[recipe]
model = { kind = "resnet18" }
epochs = 1
batch_size = 256
[space]
optimizer.lr = { low = 0.01, high = 0.1, log = true }
[confirm]
top = 0
TOML
(cd "$folder" && "$binary" run tiny.toml --no-web >log 2>&1 && "$binary" export best -o best) || { cat "$folder/log"; exit 1; }
"$python" - "$folder/best" <<'PYTHON'
import runpy
import sys

import torch
from safetensors.torch import load_file

net = runpy.run_path(f"{sys.argv[1]}/pytorch.py")["net"]
scores = net(torch.zeros(2, 1, 28, 28))
assert scores.shape == (2, 10) and scores.isfinite().all()
ours = load_file(f"{sys.argv[1]}/weights.safetensors")
theirs = [it for name, it in net.state_dict().items() if not name.endswith("num_batches_tracked")]
assert len(ours) == len(theirs) and sum(it.numel() for it in ours.values()) == sum(it.numel() for it in theirs)
print(f"best/pytorch.py: {len(theirs)} tensors, all names known to torchvision")
PYTHON
