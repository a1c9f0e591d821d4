"""Checks that torchvision loads our files of weights, every name of them, and gives the scores that we give.

TORCHVISION_FILES=/tmp cargo test --release --workspace --lib -- files_for_pytorch
python3 -m venv venv && venv/bin/pip install torch==2.9.0 torchvision==0.24.0 safetensors && venv/bin/python check_torchvision.py /tmp
"""

import json
import os
import sys

import torch
import torchvision
from safetensors.torch import load_file

images = torch.sin(torch.arange(3 * 72 * 72, dtype=torch.float64) * 0.01).float().reshape(1, 3, 72, 72)
for name in ["resnet18", "resnet34", "resnet50"]:
    net = torchvision.models.get_model(name, num_classes=10).eval()
    net.load_state_dict(load_file(os.path.join(sys.argv[1], name + ".safetensors")), strict=True)
    with torch.no_grad():
        scores = net(images).flatten()
    with open(os.path.join(sys.argv[1], name + ".json")) as file:
        difference = (scores - torch.tensor(json.load(file))).abs().max().item()
    print(name, "largest difference of a score:", difference)
    assert difference < 1e-4
