#!/usr/bin/env python3
"""Makes pictures/ and resized.bin, what the tests of the data module compare with. Needs Pillow and NumPy.

Each picture shows the same when it is decoded upright: 24×16 pixels, the quarters red, green, blue and white (in gray
pictures their luma). resized.bin holds what Pillow makes of patterns that the test can make as well.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

here = Path(__file__).parent
pictures = here / "pictures"
pictures.mkdir(exist_ok=True)

upright = Image.new("RGB", (24, 16), "white")
upright.paste("red", (0, 0, 12, 8))
upright.paste("lime", (12, 0, 24, 8))
upright.paste("blue", (0, 8, 12, 16))


def save(name, image, **options):
    image.save(pictures / name, **options)


save("baseline.jpg", upright, quality=90, subsampling=0)
save("progressive.jpg", upright, quality=90, progressive=True)
save("gray.jpg", upright.convert("L"), quality=90)
save("cmyk.jpg", upright.convert("CMYK"), quality=90)
stored = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
for orientation, turned in stored.items():
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = upright.transpose(Image.Transpose[turned])
    save(f"turned-{orientation}.jpg", image, quality=90, subsampling=0, exif=exif)
    image.info["exif"] = exif.tobytes()
    assert ImageOps.exif_transpose(Image.open(pictures / f"turned-{orientation}.jpg")).size == upright.size

save("rgb.png", upright)
save("palette.png", upright.quantize(4))
save("gray.png", upright.convert("L"))
save("two-tone.png", upright.convert("L").point(lambda v: 255 if v > 250 else 0).convert("1"))
save("sixteen.png", Image.fromarray(np.asarray(upright.convert("L")).astype(np.uint16) * 257))
opaque = upright.convert("RGBA")
save("opaque.png", opaque)
transparent = np.asarray(opaque).copy()
transparent[8:, 12:] = [9, 9, 9, 0]  # nothing where white is
save("transparent.png", Image.fromarray(transparent))
save("gray-transparent.png", Image.fromarray(np.dstack([np.asarray(upright.convert("L")), transparent[..., 3]])))
save("lossless.webp", upright, lossless=True)
save("lossy.webp", upright, quality=90)
save("transparent.webp", Image.fromarray(transparent), lossless=True)
save("animated.webp", upright, lossless=True, save_all=True, append_images=[upright.convert("L").convert("RGB")])


def pattern(height, width, channels):
    """Smooth waves and hard edges."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
    return ((x * x * 3 + y * x * 5 + y * y * 2 + c * 60) // 7 % 256).astype(np.uint8)


filters = [(filter, 1.0) for filter in ("BILINEAR", "BICUBIC", "LANCZOS")] + [("BILINEAR", 0.5), ("BICUBIC", 0.75)]
sizes = [
    ((37, 53, 3), (16, 16)),
    ((100, 80, 1), (28, 28)),
    ((20, 20, 3), (32, 32)),
    ((9, 200, 3), (8, 8)),
    ((64, 64, 1), (63, 63)),
    ((30, 40, 3), (12, 24)),
    ((7, 5, 1), (33, 21)),
]
with open(here / "resized.bin", "wb") as out:
    for filter, crop in filters:
        for (height, width, channels), size in sizes:
            pixels = pattern(height, width, channels)
            image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
            fit = ImageOps.fit(image, (size[1], size[0]), Image.Resampling[filter], bleed=(1 - crop) / 2)
            out.write(np.asarray(fit).tobytes())
