"""The array types that search is written in: scores and vectors, row numbers, and which rows pass."""

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]
Mask = NDArray[np.bool_]
