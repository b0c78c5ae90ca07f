"""Photos: a product seen in a view, as JPEG bytes; a function of the seed, the product's number and the view's."""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageFilter

from demo.emblems import add_emblem
from demo.palette import Palette, palette_of
from demo.patterns import cloth_colours
from demo.products import Design, Product, design_of, draw_product
from demo.raster import Layers, rasterise
from demo.scenes import scene
from demo.silhouettes import SILHOUETTES
from demo.sketch import Sketch
from demo.streams import stream
from demo.textures import crop, folds, grain, weave
from demo.views import View, draw_view

WIDTH_PX = 400
HEIGHT_PX = 480
JPEG_QUALITY = 88
_SHADOW_DIVISOR = 4


def draw_photo(seed: int, number: int, view_number: int) -> bytes:
    """Return the JPEG of one view of product `number`."""
    return encode_jpeg(draw_pixels(seed, draw_product(seed, number), view_number))


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """Return pixels (h, w, 3) uint8 as JPEG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def draw_pixels(seed: int, product: Product, view_number: int) -> np.ndarray:
    """Return one view of a product as (480, 400, 3) uint8."""
    design = design_of(seed, product.number)
    rng = stream(seed, "view", product.number, view_number)
    view = draw_view(view_number, rng)
    palette = palette_of(product.colour, stream(seed, "dye", product.number))
    sketch = sketch_of(seed, design, product.pattern)
    layers = rasterise(sketch, view, palette, HEIGHT_PX, WIDTH_PX)
    frame = scene(view.scene, rng, HEIGHT_PX, WIDTH_PX)
    _cast_shadow(frame, layers, view)
    # One print stream for the design: its variants have the same stripes in other colours.
    cloth = _cloth(product, palette, layers, view, stream(seed, "print", design.number), rng)
    height, width = layers.cover.shape
    box = frame[layers.top : layers.top + height, layers.left : layers.left + width]
    cloth -= box
    cloth *= layers.cover[..., None]
    box += cloth
    return _develop(frame, view, rng)


@lru_cache(maxsize=256)
def sketch_of(seed: int, design: Design, pattern: str) -> Sketch:
    """Return the shapes of a design, with its emblem where the pattern is one. Cached: not to be changed."""
    sketch = SILHOUETTES[design.category](stream(seed, "cut", design.number), design.fit)
    if pattern == "logo":
        add_emblem(sketch, stream(seed, "emblem", design.number), design.category)
    return sketch


def _cast_shadow(frame: np.ndarray, layers: Layers, view: View) -> None:
    """Darken the background where the product keeps the light off it."""
    height, width = frame.shape[:2]
    small = Image.new("L", (width // _SHADOW_DIVISOR, height // _SHADOW_DIVISOR), 0)
    cover = Image.fromarray((layers.cover * 255).astype(np.uint8)).reduce(_SHADOW_DIVISOR)
    shift = 9.0
    at = (
        round((layers.left - view.light[0] * shift) / _SHADOW_DIVISOR),
        round((layers.top - view.light[1] * shift) / _SHADOW_DIVISOR),
    )
    small.paste(cover, at)
    soft = small.filter(ImageFilter.GaussianBlur(2.6)).resize((width, height), Image.Resampling.BILINEAR)
    fall = 1 - np.asarray(soft, np.float32) * np.float32(view.shadow / 255)
    frame *= fall[..., None]


def _cloth(
    product: Product,
    palette: Palette,
    layers: Layers,
    view: View,
    print_rng: np.random.Generator,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the product's colours under the view's light, (h, w, 3) float32 in 0–255."""
    height, width = layers.cover.shape
    rumple = crop(folds(), height, width, rng)
    ripple = 0.012 * rumple
    cloth = cloth_colours(
        product.pattern, palette, layers.u + ripple, layers.v + ripple, print_rng, layers.pixels_per_unit
    )
    cloth = cloth * (1 - layers.own_share)[..., None]
    cloth += layers.own
    relief = 0.55 * layers.soft + 0.1 * rumple
    across = np.linspace(-1, 1, width, dtype=np.float32)[None, :] * view.light[0]
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] * view.light[1]
    light = 1 + 0.07 * (across + down) + view.contrast * (0.8 * layers.shade + relief)
    light *= _roundness(layers.cover) * (1 + crop(weave(product.material), height, width, rng))
    # Dark cloth would swallow its folds: light also adds a little of its own.
    cloth *= light[..., None]
    cloth += (16 * relief + 14 * layers.shade)[..., None]
    return cloth


def _roundness(cover: np.ndarray) -> np.ndarray:
    """Return brightness that falls off towards the outline, as on anything that is not flat."""
    height, width = cover.shape
    small = Image.fromarray((cover * 255).astype(np.uint8)).reduce(4).filter(ImageFilter.GaussianBlur(2.2))
    inside = np.asarray(small.resize((width, height), Image.Resampling.BILINEAR), np.float32) / 255
    return 0.74 + 0.27 * np.clip((inside - 0.45) * 1.9, 0, 1)


def _develop(frame: np.ndarray, view: View, rng: np.random.Generator) -> np.ndarray:
    """Apply exposure, white balance and camera noise; return uint8."""
    balance = np.array([1 + view.warmth, 1.0, 1 - view.warmth], np.float32) * view.exposure
    frame *= balance
    frame += crop(grain(), HEIGHT_PX, WIDTH_PX, rng)
    np.clip(frame, 0, 255, out=frame)
    return frame.astype(np.uint8)
