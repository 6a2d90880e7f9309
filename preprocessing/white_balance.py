"""Under which light was it taken, and what would it look like under daylight.

Correction is by gains in linear light (von Kries), on RGB with the transfer curve of sRGB.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from preprocessing.arrays import Doubles
from preprocessing.colour_lut import SIDE, ColourLut, lut_of

MIN_TEMPERATURE_K, MAX_TEMPERATURE_K = 2000.0, 15_000.0
"""Krystek's approximation holds to 15000 K; below 2000 K light leaves the sRGB gamut."""
MAX_TINT = 150.0
TINT_PER_DUV = 3000.0
"""Steps of tint per unit of CIE 1960 uv, as raw converters count (Adobe DNG specification)."""
_XYZ_FROM_RGB = np.array(  # IEC 61966-2-1
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)
_LUMINANCE = _XYZ_FROM_RGB[1]
_NORM = 20.0
"""Minkowski norm: 1 is grey world, infinity white patch (Finlayson and Trezzi 2004, who take 6).
With casts of known lights on photographs, 20 came closest of 1, 6 and 20: bright parts are rarely
coloured, the average of a room or of a cat is."""
_NEAREST_SHARE = 0.05  # of the pixels, taken for greys: a chart or a wall has more
_DARK, _BRIGHT = 0.02, 0.98
"""Encoded levels beyond which a channel is noise or clipped."""
_SPREAD_FLOOR = 1e-6


@dataclass(frozen=True)
class Light:
    """The light that a picture was taken under."""

    temperature_k: float
    """Correlated colour temperature in kelvin."""
    tint: float
    """Positive for light greener than daylight of that temperature, negative for more magenta."""


DAYLIGHT = Light(6504.0, 0.0)
"""D65, the white of sRGB; what is white under it needs no correction."""


@dataclass(frozen=True)
class Gains:
    """Factors for linear red, green and blue that keep the luminance of grey."""

    red: float
    green: float
    blue: float

    def lut(self, side: int = SIDE) -> ColourLut:
        """The correction as a table over encoded values."""
        factors = np.array([self.red, self.green, self.blue])
        return lut_of(lambda rgb: encode(decode(rgb) * factors), side)

    @property
    def light(self) -> Light:
        """The light that these gains turn into daylight."""
        return _light_of(1 / np.array([self.red, self.green, self.blue]))


def estimate_gains(pixels: Doubles) -> Gains:
    """Find the gains without being told the light: shades of grey over the near-neutral pixels.

    Args:
        pixels: (N, 3) encoded RGB, 0 to 1; a few ten thousand are plenty.

    >>> warm = np.random.default_rng(0).random((5000, 1)) * np.array([0.9, 0.8, 0.6])
    >>> gains = estimate_gains(warm)
    >>> bool(gains.blue > gains.green > gains.red)
    True
    """
    usable = pixels[(pixels.min(axis=1) > _DARK) & (pixels.max(axis=1) < _BRIGHT)]
    if len(usable) < 16:
        return Gains(1.0, 1.0, 1.0)
    linear = decode(usable)
    light = np.mean(linear**_NORM, axis=0) ** (1 / _NORM)
    return _gains(_near_neutral_mean(linear, light))


def gains_for(light: Light) -> Gains:
    """The gains that turn a light into daylight.

    >>> gains = gains_for(DAYLIGHT)
    >>> [round(value, 3) for value in (gains.red, gains.green, gains.blue)]
    [1.0, 1.0, 1.0]
    >>> lamp = gains_for(Light(3000, 0))
    >>> lamp.blue > lamp.green > lamp.red
    True
    """
    return _gains(_rgb_of(light))


def decode(encoded: Doubles) -> Doubles:
    """sRGB's curve to linear light (IEC 61966-2-1)."""
    return np.asarray(
        np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    )


def encode(linear: Doubles) -> Doubles:
    """Linear light to sRGB's curve; values above 1 stay above 1."""
    positive = np.maximum(linear, 0)
    return np.asarray(
        np.where(positive <= 0.0031308, positive * 12.92, 1.055 * positive ** (1 / 2.4) - 0.055)
    )


def _near_neutral_mean(linear: Doubles, light: Doubles) -> Doubles:
    """The light whose greys are the pixels that are nearly grey under a first guess of it."""
    chroma = np.log(linear / light)
    chroma -= chroma.mean(axis=1, keepdims=True)
    spread = np.square(chroma).sum(axis=1)
    width = max(float(np.quantile(spread, _NEAREST_SHARE)), _SPREAD_FLOOR)
    weight = np.exp(-spread / (2 * width)) * linear.sum(axis=1) ** 2
    shift = (chroma * weight[:, None]).sum(axis=0) / weight.sum()
    return np.asarray(light * np.exp(shift))


def _gains(light: Doubles) -> Gains:
    """Gains for the light's linear RGB; a grey keeps its luminance."""
    factors = 1 / light
    factors /= _LUMINANCE @ factors
    return Gains(*(float(value) for value in factors))


def _locus(temperature_k: Doubles) -> Doubles:
    """CIE 1960 uv of a black body, (N, 2); Krystek 1985, 1000 to 15000 K."""
    t = temperature_k
    u = (0.860117757 + 1.54118254e-4 * t + 1.28641212e-7 * t**2) / (
        1 + 8.42420235e-4 * t + 7.08145163e-7 * t**2
    )
    v = (0.317398726 + 4.22806245e-5 * t + 4.20481691e-8 * t**2) / (
        1 - 2.89741816e-5 * t + 1.61456053e-7 * t**2
    )
    return np.asarray(np.stack([u, v], -1))


def _normal(temperature_k: Doubles) -> Doubles:
    """Unit vectors across the locus, towards green."""
    tangent = _locus(temperature_k + 1) - _locus(temperature_k - 1)
    across = np.stack([tangent[:, 1], -tangent[:, 0]], -1)
    across *= np.sign(across[:, 1:])
    return np.asarray(across / np.linalg.norm(across, axis=1, keepdims=True))


def _uv(xyz: Doubles) -> Doubles:
    return np.asarray(np.array([4 * xyz[0], 6 * xyz[1]]) / (xyz @ np.array([1, 15, 3])))


def _nearest(uv: Doubles) -> tuple[float, float]:
    """Temperature of the nearest black body, and the distance across the locus towards green."""
    temperatures = 1e6 / np.linspace(1e6 / MAX_TEMPERATURE_K, 1e6 / 1000, 20_000)
    offsets = uv - _locus(temperatures)
    best = int(np.argmin(np.square(offsets).sum(axis=1)))
    temperature = temperatures[best : best + 1]
    return float(temperature[0]), float(offsets[best] @ _normal(temperature)[0])


# Daylight lies beside the locus of black bodies; tint counts from daylight.
_DAYLIGHT_DUV = _nearest(_uv(_XYZ_FROM_RGB @ np.ones(3)))[1]


def _light_of(rgb: Doubles) -> Light:
    temperature, distance = _nearest(_uv(_XYZ_FROM_RGB @ rgb))
    return Light(round(temperature, 1), round((distance - _DAYLIGHT_DUV) * TINT_PER_DUV, 2))


def _rgb_of(light: Light) -> Doubles:
    """Linear RGB of a light of luminance 1."""
    temperature = np.array([light.temperature_k])
    distance = light.tint / TINT_PER_DUV + _DAYLIGHT_DUV
    u, v = (_locus(temperature) + distance * _normal(temperature))[0]
    x, y = np.array([3 * u, 2 * v]) / (2 * u - 8 * v + 4)
    rgb = np.linalg.solve(_XYZ_FROM_RGB, np.array([x / y, 1.0, (1 - x - y) / y]))
    return np.asarray(np.maximum(rgb, 0.01))
