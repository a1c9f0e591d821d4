#!/usr/bin/env python3
"""Makes augment.json, augment-colour.png and augment-gray.png: what torchvision's operations on Pillow's images give.

A picture is a sheet of tiles, 20 a row: the image itself, then the outcome of each case of the JSON file in its order.
Needs pillow 13.0, torch 2.9, torchvision 0.24 and timm 1.0.
"""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from timm.data.auto_augment import solarize_add
from torchvision.transforms import AugMix, AutoAugment, InterpolationMode, RandAugment, TrivialAugmentWide
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

HERE = Path(__file__).parent
HEIGHT, WIDTH, ACROSS = 11, 14, 20
SIZE = (HEIGHT, WIDTH)


def image(channels):
    """Slopes, a dark block, a light line and noise, short of the whole range."""
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(channels), indexing="ij")
    values = 60 + 9 * x - 4 * y * (c - 1) + 40 * np.sin(y / 2 + c)
    values[2:5, 3:9, 0] = 20
    values[:, 10] = [230, 210, 40][:channels]
    values += np.random.default_rng(7).integers(-12, 13, values.shape)
    return Image.fromarray(values.clip(8, 247).astype(np.uint8).squeeze())


def snake(name):
    return "".join("_" + c.lower() if c.isupper() else c for c in name).lstrip("_")


def cases():
    """Each as (what the JSON says, what is done to an image)."""
    spaces = [
        ("auto_augment", AutoAugment()._augmentation_space(10, SIZE), 10, range(10)),
        ("rand_augment", RandAugment()._augmentation_space(31, SIZE), 31, range(2, 31, 7)),
        ("trivial_augment", TrivialAugmentWide()._augmentation_space(31), 31, range(0, 31, 5)),
        ("aug_mix", AugMix()._augmentation_space(10, SIZE), 10, range(0, 10, 3)),
    ]
    moves = ["ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate"]
    for space, ops, bins, chosen in spaces:
        for op, (magnitudes, signed) in ops.items():
            for place in chosen if magnitudes.ndim > 0 else [0]:
                value = float(magnitudes[place]) if magnitudes.ndim > 0 else 0.0
                if (op, value) == ("Posterize", 0.0):
                    continue  # Pillow refuses to keep no bit
                for sign in [1, -1] if signed and value != 0.0 else [1]:
                    modes = ["nearest", "bilinear"] if op in moves and space != "rand_augment" else ["nearest"]
                    for mode in modes:
                        fill = 0 if mode == "nearest" else 77
                        case = {"op": snake(op), "space": space, "strength": [place, bins - 1], "value": sign * value}
                        case |= {"interpolation": mode, "fill": fill}
                        interpolation = InterpolationMode(mode)
                        channels_fill = [fill] if fill else None
                        yield case, lambda image, op=op, v=sign * value, i=interpolation, f=channels_fill: _apply_op(
                            image, op, v, i, f if f is None or image.mode == "L" else f * 3
                        )
    for turn in [-0.5, -0.3, -0.1, 0.05, 0.2, 0.45]:
        yield {"op": "hue", "value": turn}, lambda image, t=turn: F.adjust_hue(image, t)
    yield {"op": "grayscale", "value": 0}, lambda image: F.rgb_to_grayscale(image, 1 if image.mode == "L" else 3)
    yield {"op": "flip", "value": 0}, F.hflip
    yield {"op": "flip_vertical", "value": 0}, F.vflip
    for amount in [0, 33, 110]:
        yield {"op": "solarize_add", "value": amount}, lambda image, a=amount: solarize_add(image, a)
    for sigma in [0.3, 0.8, 1.4]:
        side = 2 * int(np.ceil(3 * sigma)) + 1
        yield {"op": "blur", "value": sigma, "within": 1}, lambda image, s=sigma, k=side: F.gaussian_blur(image, k, s)
    for factor in [0.0, 0.4, 1.0, 2.5]:
        yield {"op": "sharpness", "value": factor - 1}, lambda image, f=factor: F.adjust_sharpness(image, f)
    for angle, move, scale, shear in [(10, [2, -1], 1.0, 0), (0, [0, 0], 1.3, 0), (-40, [0, 3], 0.8, 12), (5, [0, 0], 1, -20)]:
        for mode in ["nearest", "bilinear"]:
            yield (
                {"affine": [angle, *move, scale, shear], "interpolation": mode},
                lambda image, a=angle, m=move, s=scale, h=shear, i=mode: F.affine(
                    image, a, m, s, [h, 0.0], InterpolationMode(i)
                ),
            )
    for top, left, height, width in [(0, 0, 11, 14), (2, 3, 6, 9), (5, 0, 3, 3), (0, 7, 10, 7)]:
        yield (
            {"part": [top, left, height, width], "within": 1},
            lambda image, t=top, l=left, h=height, w=width: F.resized_crop(image, t, l, h, w, SIZE),
        )


torch.manual_seed(0)
cases = list(cases())
for channels, name in [(3, "colour"), (1, "gray")]:
    original = image(channels)
    tiles = [original] + [act(original.copy()) for _, act in cases]
    sheet = Image.new(original.mode, (ACROSS * WIDTH, -(-len(tiles) // ACROSS) * HEIGHT))
    for place, tile in enumerate(tiles):
        assert tile.mode == original.mode and tile.size == original.size, cases[place - 1]
        sheet.paste(tile, (place % ACROSS * WIDTH, place // ACROSS * HEIGHT))
    sheet.save(HERE / f"augment-{name}.png", optimize=True)
lines = ",\n".join(json.dumps(case) for case, _ in cases)
(HERE / "augment.json").write_text(f"[\n{lines}\n]\n")
