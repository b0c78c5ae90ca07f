"""Views: how a photo is taken of a product (scene, place, turn, perspective, light), drawn from a random stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from demo.scenes import HOME_SCENES, SCENES, STUDIO_SCENES

HELD_OUT_VIEW = 100  # views from this number on never stand in a catalog


@dataclass(frozen=True)
class View:
    """One way to photograph. Angles in radians, offset as a share of the frame, light as a direction of length 1."""

    scene: str
    fill: float
    turn: float
    flip: bool
    shear: float
    stretch: float
    keystone: tuple[float, float]
    offset: tuple[float, float]
    light: tuple[float, float]
    contrast: float
    exposure: float
    warmth: float
    wobble: float
    wobble_phase: float
    shadow: float


def draw_view(number: int, rng: np.random.Generator) -> View:
    """Draw view `number`: 0 in the studio, 1 anywhere, 2 and more at home, from 100 on by shoppers."""
    if number == 0:
        return _taken(rng, STUDIO_SCENES, turn=0.03, fill=(0.8, 0.9), tilt=0.02, care=1.0)
    if number == 1:
        return _taken(rng, SCENES[:5], turn=0.12, fill=(0.72, 0.9), tilt=0.1, care=0.7)
    if number < HELD_OUT_VIEW:
        return _taken(rng, HOME_SCENES[:4], turn=0.4, fill=(0.66, 0.88), tilt=0.16, care=0.4)
    return _taken(rng, HOME_SCENES, turn=0.5, fill=(0.6, 0.95), tilt=0.2, care=0.2)


def _taken(
    rng: np.random.Generator,
    scenes: tuple[str, ...],
    *,
    turn: float,
    fill: tuple[float, float],
    tilt: float,
    care: float,
) -> View:
    """Draw a view; `care` is 1 for a photographer and towards 0 for a shopper in a hurry."""
    loose = 1 - care
    angle = float(rng.uniform(0, 2 * np.pi))
    return View(
        scene=str(rng.choice(scenes)),
        fill=float(rng.uniform(*fill)),
        turn=float(np.clip(rng.normal(0, turn / 2), -turn, turn)),
        flip=bool(care < 1 and rng.random() < 0.4),
        shear=float(rng.normal(0, 0.02 + 0.06 * loose)),
        stretch=float(np.exp(rng.normal(0, 0.015 + 0.05 * loose))),
        keystone=(float(rng.uniform(-tilt, tilt)), float(rng.uniform(-tilt, tilt))),
        offset=(float(rng.uniform(-1, 1)) * 0.06 * loose, float(rng.uniform(-1, 1)) * 0.06 * loose),
        light=(float(np.cos(angle)), -abs(float(np.sin(angle)))),
        contrast=float(rng.uniform(0.8, 1.1)),
        exposure=float(np.clip(rng.normal(1.02, 0.02 + 0.08 * loose), 0.75, 1.2)),
        warmth=float(rng.normal(0, 0.008 + 0.035 * loose)),
        wobble=float(rng.uniform(0.002, 0.006 + 0.016 * loose)),
        wobble_phase=float(rng.uniform(0, 6.28)),
        shadow=float(rng.uniform(0.25, 0.5)),
    )


def homography(view: View, low: np.ndarray, high: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the (3, 3) float64 map from sketch units to pixels that fits low…high, (2,) each, into the frame."""
    cos, sin = np.cos(view.turn), np.sin(view.turn)
    shape = np.array([[1.0, view.shear], [0.0, view.stretch]])
    linear = np.array([[cos, -sin], [sin, cos]]) @ shape @ np.diag([-1.0 if view.flip else 1.0, 1.0])
    corners = np.array([(x, y) for x in (low[0], high[0]) for y in (low[1], high[1])]) @ linear.T
    size = np.ptp(corners, axis=0)
    scale = view.fill * min(width / size[0], height / size[1])
    centre = np.array([width * (0.5 + view.offset[0]), height * (0.5 + view.offset[1])])
    placed = np.eye(3)
    placed[:2, :2] = linear * scale
    placed[:2, 2] = -linear @ ((low + high) / 2) * scale
    tilted = np.eye(3)
    tilted[2, :2] = view.keystone[0] / width, view.keystone[1] / height
    moved = np.eye(3)
    moved[:2, 2] = centre
    return moved @ tilted @ placed
