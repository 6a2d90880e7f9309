"""Names of the array types that go in and out."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Image: TypeAlias = npt.NDArray[np.uint8]
"""RGB, (H, W, 3), 0 to 255."""
Plane: TypeAlias = npt.NDArray[np.uint8]
"""One channel, (H, W), 0 to 255."""
Fine: TypeAlias = npt.NDArray[np.uint16]
"""As a Plane or several, but finer."""
Mask: TypeAlias = npt.NDArray[np.bool_]
"""(H, W), True = edit."""
Floats: TypeAlias = npt.NDArray[np.float32]
Samples: TypeAlias = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
"""Values of 8 or 16 bits."""
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.intp]
