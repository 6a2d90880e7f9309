"""The 24 patches of the ColorChecker in sRGB (published by its maker), as a picture."""

import numpy as np

_HEX = """
735244 c29682 627a9d 576c43 8580b1 67bdaa
d67e2c 505ba6 c15a63 5e3c6c 9dbc40 e0a32e
383d96 469449 af363c e7c71f bb5695 0885a1
f3f3f2 c8c8c8 a0a0a0 7a7a79 555555 343434
"""
PATCHES = np.frombuffer(bytes.fromhex(_HEX), np.uint8).reshape(4, 6, 3)
CHART = PATCHES.repeat(60, axis=0).repeat(60, axis=1)
