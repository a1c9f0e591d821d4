#!/usr/bin/env python3
"""Makes preprocess.json, preprocess-gray.png and preprocess-colour.png: what OpenCV makes of an image.

A picture is a column of tiles: the image itself, then the outcome of each case of the JSON file. Of a colour image,
equalization changes the Y of YCrCb, with rounding at each turn: ours is within a few levels. Needs opencv-python-headless
and NumPy.
"""

import json
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent
HEIGHT, WIDTH = 26, 30


def image(channels):
    y, x, c = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), np.arange(channels), indexing="ij")
    values = 70 + 3 * x + 25 * np.sin(y / 3 + c) + 20 * np.cos(x / 4 - c)
    values[5:12, 8:20] -= 40
    random = np.random.default_rng(7)
    values += random.normal(0, 6, values.shape)
    values[random.random(values.shape[:2]) < 0.05] = 250
    return values.clip(0, 255).astype(np.uint8).squeeze()


def on_luma(act):
    def whole(image):
        if image.ndim == 2:
            return act(image)
        luma = cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb)
        luma[..., 0] = act(luma[..., 0])
        return cv2.cvtColor(luma, cv2.COLOR_YCrCb2RGB)

    return whole


cases = []
for radius in [1, 2]:
    cases.append(({"denoise": {"kind": "median", "radius": radius}}, [0, 0], lambda i, r=radius: cv2.medianBlur(i, 2 * r + 1)))
for sigma in [0.5, 1.0, 2.2]:
    side = 2 * int(np.ceil(3 * sigma)) + 1
    act = lambda i, s=sigma, k=side: cv2.GaussianBlur(i, (k, k), s, borderType=cv2.BORDER_REFLECT_101)
    cases.append(({"denoise": {"kind": "gaussian", "sigma": sigma}}, [1, 1], act))
cases.append(({"equalize": {"kind": "histogram"}}, [0, 4], on_luma(cv2.equalizeHist)))
for limit, tiles in [(2.0, 2), (4.0, 2), (1.0, 4), (40.0, 3), (0.0, 5), (8.0, 8)]:
    act = on_luma(lambda i, l=limit, t=tiles: cv2.createCLAHE(l, (t, t)).apply(i))
    cases.append(({"equalize": {"kind": "clahe", "clip_limit": limit, "tiles": tiles}}, [0, 6], act))

for channels, name in [(1, "gray"), (3, "colour")]:
    original = image(channels)
    sheet = np.concatenate([original] + [act(original) for _, _, act in cases])
    order = sheet if channels == 1 else sheet[..., ::-1]
    cv2.imwrite(str(HERE / f"preprocess-{name}.png"), order, [cv2.IMWRITE_PNG_COMPRESSION, 9])
lines = ",\n".join(json.dumps({"preprocess": what, "within": within}) for what, within, _ in cases)
(HERE / "preprocess.json").write_text(f"[\n{lines}\n]\n")
