"""How each category is cut: a function of a random stream and the design's fit ("slim", "tote", …) to a sketch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from demo.silhouettes.accessories import bag, hat
from demo.silhouettes.bottoms import dress, shorts, skirt, trousers
from demo.silhouettes.footwear import boot, sneaker
from demo.silhouettes.tops import hoodie, jacket, shirt, t_shirt
from demo.sketch import Sketch

SILHOUETTES: dict[str, Callable[[np.random.Generator, str], Sketch]] = {
    "t-shirt": t_shirt,
    "shirt": shirt,
    "hoodie": hoodie,
    "dress": dress,
    "skirt": skirt,
    "trousers": trousers,
    "shorts": shorts,
    "jacket": jacket,
    "sneaker": sneaker,
    "boot": boot,
    "hat": hat,
    "bag": bag,
}
