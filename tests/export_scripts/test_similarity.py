import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from export_scripts.similarity import compare


def test_equal_pictures() -> None:
    photo = data.astronaut()
    found = compare(photo, photo)
    assert (found.max_difference, found.mean_difference) == (0, 0.0)
    assert found.psnr_db == float("inf")
    assert found.ssim == pytest.approx(1.0)


def test_agrees_with_scikit_image() -> None:
    photo = data.astronaut()
    noise = np.random.default_rng(0).normal(0, 12, photo.shape)
    noisy = np.clip(photo + noise, 0, 255).astype(np.uint8)
    found = compare(photo, noisy)
    reference = structural_similarity(
        photo, noisy, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert found.psnr_db == pytest.approx(peak_signal_noise_ratio(photo, noisy), abs=1e-6)
    assert found.ssim == pytest.approx(reference, abs=1e-4)


def test_sizes_must_agree() -> None:
    with pytest.raises(ValueError, match="pictures of one size"):
        compare(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
