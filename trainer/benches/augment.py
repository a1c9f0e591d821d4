#!/usr/bin/env python3
"""torchvision's augmentation on Pillow's images on one thread, in images a second; benches/augment.rs has ours."""

import time

import numpy as np
import torch
from PIL import Image
from torchvision import transforms as T
from torchvision.transforms.autoaugment import _apply_op

torch.set_num_threads(1)
SIZES = [(32, 32, 3), (28, 28, 1)]
OPS = {
    "ShearX": 0.3, "ShearY": 0.3, "TranslateX": 14.0, "TranslateY": 14.0, "Rotate": 30.0, "AutoContrast": 0.0,
    "Invert": 0.0, "Equalize": 0.0, "Solarize": 0.0, "Posterize": 4, "Contrast": 0.9, "Color": 0.9, "Brightness": 0.9,
    "Sharpness": 0.9,
}
NEAREST = T.InterpolationMode.NEAREST
POLICIES = {
    "flip and crop": T.Compose([T.RandomCrop(32, padding=4, pad_if_needed=True), T.RandomHorizontalFlip()]),
    "AutoAugment": T.AutoAugment(T.AutoAugmentPolicy.CIFAR10),
    "RandAugment": T.RandAugment(),
    "RandAugment bilinear": T.RandAugment(interpolation=T.InterpolationMode.BILINEAR),
    "TrivialAugment": T.TrivialAugmentWide(),
    "AugMix": T.AugMix(interpolation=NEAREST),
    "resized crop": T.RandomResizedCrop(32, (0.3, 1.0)),
    "rotate bilinear": T.RandomRotation(15, interpolation=T.InterpolationMode.BILINEAR),
    "colour jitter": T.ColorJitter(0.4, 0.4, 0.4, 0.1),
}


def images(height, width, channels):
    random = np.random.default_rng(1)
    values = np.arange(256 * height * width * channels) // 7 % 200 + random.integers(0, 50, 256 * height * width * channels)
    return [Image.fromarray(x.squeeze()) for x in values.astype(np.uint8).reshape(256, height, width, channels)]


def images_per_second(act, batch):
    begin, passes = time.perf_counter(), 0
    while time.perf_counter() - begin < 0.5:
        for image in batch:
            act(image)
        passes += 1
    return passes * len(batch) / (time.perf_counter() - begin)


batches = [images(*size) for size in SIZES]
rows = {op: lambda image, op=op, value=value: _apply_op(image, op, value, NEAREST, None) for op, value in OPS.items()}
for name, act in (rows | POLICIES).items():
    print(f"{name:24}" + "".join(f"{images_per_second(act, batch):14.0f}" for batch in batches))
