"""From a sketch to layers of pixels: where the product is, what has a colour of its own, where it is lighter or darker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from demo.palette import Palette
from demo.sketch import Shape, Sketch
from demo.views import View, homography

OVERSAMPLING = 2  # canvases are twice as wide and high as the photo; halving them smooths the edges
SOFT_DIVISOR = 4  # creases are blurred anyway, so their canvas is small


@dataclass(frozen=True)
class Layers:
    """The product's box in the frame and its layers, (h, w) float32 each.

    cover: 0–1; own: (h, w, 3) 0–255 times own_share; own_share: 0–1 where a shape has a colour of its own;
    shade: −1…1, crisp; soft: about −1…1, blurred; u, v: sketch units of each pixel.
    """

    top: int
    left: int
    cover: np.ndarray
    own: np.ndarray
    own_share: np.ndarray
    shade: np.ndarray
    soft: np.ndarray
    u: np.ndarray
    v: np.ndarray
    pixels_per_unit: float


def rasterise(sketch: Sketch, view: View, palette: Palette, height: int, width: int) -> Layers:
    """Draw the sketch as the view sees it, into a frame of height × width pixels."""
    low, high = sketch.extent()
    matrix = homography(view, low, high, height, width)
    placed = _place([shape.points for shape in sketch.shapes], matrix, view)
    unit = float(np.sqrt(abs(np.linalg.det(matrix[:2, :2]))))
    left, top, right, bottom = _box(sketch, placed, unit, height, width)
    canvases = _Canvases(right - left, bottom - top, unit)
    for shape, points in zip(sketch.shapes, placed, strict=True):
        canvases.paint(shape, points - (left, top), palette)
    u, v = _units(matrix, left, top, right, bottom)
    cover, own, own_share, shade, soft = canvases.layers()
    return Layers(top, left, cover, own, own_share, shade, soft, u, v, unit)


def _place(outlines: list[np.ndarray], matrix: np.ndarray, view: View) -> list[np.ndarray]:
    """Map every outline to pixels, with a slight waviness as cloth that lies or hangs has."""
    ends = np.cumsum([len(points) for points in outlines])
    points = np.concatenate(outlines)
    waves = np.sin(points[:, ::-1] * 4.1 + view.wobble_phase) + 0.5 * np.sin(points[:, ::-1] * 9.7 + view.wobble_phase)
    homogeneous = np.column_stack([points + view.wobble * waves, np.ones(len(points))]) @ matrix.T
    pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    return np.split(pixels, ends[:-1])


def _box(sketch: Sketch, placed: list[np.ndarray], unit: float, height: int, width: int) -> tuple[int, int, int, int]:
    covers = [p for s, p in zip(sketch.shapes, placed, strict=True) if s.kind in ("fabric", "solid", "stroke")]
    points = np.concatenate(covers)
    margin = 0.05 * unit + 2
    left, top = np.maximum(np.floor(points.min(axis=0) - margin), 0).astype(int)
    right, bottom = np.minimum(np.ceil(points.max(axis=0) + margin), (width, height)).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _units(matrix: np.ndarray, left: int, top: int, right: int, bottom: int) -> tuple[np.ndarray, np.ndarray]:
    inverse = np.linalg.inv(matrix)
    x = np.arange(left, right, dtype=np.float32)[None, :] + np.float32(0.5)
    y = np.arange(top, bottom, dtype=np.float32)[:, None] + np.float32(0.5)
    rows = inverse.astype(np.float32)
    across, down, depth = ((rows[i, 0] * x + rows[i, 2]) + rows[i, 1] * y for i in range(3))
    return across / depth, down / depth


class _Canvases:
    """The canvases that shapes are painted on, in order."""

    def __init__(self, width: int, height: int, unit: float) -> None:
        self.width, self.height, self.unit = width, height, unit
        big = (width * OVERSAMPLING, height * OVERSAMPLING)
        small = (-(-width // SOFT_DIVISOR), -(-height // SOFT_DIVISOR))
        # CMYK only because it is Pillow's plain mode of four bytes: red, green, blue, share.
        self.images = [
            Image.new("L", big, 0),
            Image.new("CMYK", big),
            Image.new("L", big, 128),
            Image.new("L", small, 128),
        ]
        self.cover, self.own, self.shade, self.soft = (ImageDraw.Draw(image) for image in self.images)

    def paint(self, shape: Shape, points: np.ndarray, palette: Palette) -> None:
        """Paint one shape given in pixels of the product's box."""
        if shape.kind == "crease":
            spots = (points / SOFT_DIVISOR).ravel().tolist()
            self.soft.line(spots, fill=_grey(shape.shade), width=max(1, round(shape.width * self.unit / SOFT_DIVISOR)))
            return
        spots = (points * OVERSAMPLING).ravel().tolist()
        thick = max(2, round(shape.width * self.unit * OVERSAMPLING))
        if shape.kind == "seam":
            self.shade.line(spots, fill=_grey(shape.shade), width=thick)
            return
        shade, own = _grey(shape.shade), (0, 0, 0, 0)
        if shape.kind in ("solid", "stroke") and shape.role != "cloth":
            own = (*palette.role(shape.role), 255)
        if shape.kind == "stroke":
            self.cover.line(spots, fill=255, width=thick, joint="curve")
            self.own.line(spots, fill=own, width=thick, joint="curve")
            self.shade.line(spots, fill=shade, width=thick, joint="curve")
            return
        self.cover.polygon(spots, fill=0 if shape.kind == "hole" else 255)
        self.own.polygon(spots, fill=own)
        self.shade.polygon(spots, fill=shade)

    def layers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return cover, own, own_share, shade and soft at the photo's size."""
        cover, own, shade = (np.asarray(image.reduce(OVERSAMPLING), np.float32) for image in self.images[:3])
        blurred = self.images[3].filter(ImageFilter.GaussianBlur(0.028 * self.unit / SOFT_DIVISOR + 0.6))
        soft = np.asarray(blurred.resize((self.width, self.height), Image.Resampling.BILINEAR), np.float32)
        return cover / 255, own[..., :3], own[..., 3] / 255, (shade - 128) / 127, (soft - 128) / 127


def _grey(shade: float) -> int:
    return round(128 + 127 * shade)
