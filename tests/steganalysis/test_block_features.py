import numpy as np
import pytest
import scipy.fft

from steglib.images.jpeg import steps
from steglib.steganalysis.block_features import block_cosines
from steglib.steganalysis.detectors import FeatureDetector, detect
from steglib.steganalysis.features import colour_rich

IMAGES = np.random.default_rng(0).integers(60, 200, (3, 19, 26, 3), np.uint8)


def test_counts_of_a_loop():
    """By SciPy's cosines, block after block; what is left over at the edges does not count."""
    weights = np.random.default_rng(1).random(IMAGES.shape[:3])
    for image, weigh, found in zip(IMAGES, weights, block_cosines(IMAGES, weights), strict=True):
        counts = np.zeros((64, 5))
        luma = image @ [0.299, 0.587, 0.114]
        for top in (0, 8):
            for left in (0, 8, 16):
                block = np.s_[top : top + 8, left : left + 8]
                sizes = np.abs(scipy.fft.dctn(luma[block], norm="ortho")).ravel()
                for wave, size in enumerate(sizes):
                    counts[wave, min(4, round(size / 4))] += weigh[block].max()
        expected = np.sqrt(counts / counts.sum(1, keepdims=True))[1:]
        assert found == pytest.approx(expected.ravel(), abs=1e-5)


def test_features_are_roots_of_shares():
    found = block_cosines(IMAGES)
    assert found.shape == (3, 315) and found.dtype == np.float32
    assert np.square(found).reshape(3, 63, 5).sum(2) == pytest.approx(1, abs=1e-5)
    assert np.array_equal(found[1:2], block_cosines(IMAGES[1:2]))
    assert block_cosines(IMAGES, np.full(IMAGES.shape[:3], 0.3)) == pytest.approx(found, abs=1e-5)
    assert not block_cosines(IMAGES, np.zeros(IMAGES.shape[:3])).any()
    assert block_cosines(IMAGES + 9) == pytest.approx(found, abs=1e-5)  # the mean does not count


def test_cosines_at_coarse_steps_are_seen_though_all_colours_move_alike():
    """Which features of colour differences do not see at all."""
    random, table = np.random.default_rng(0), steps(75)[0] * 1.0
    blocks = random.normal(0, random.uniform(2, 6, (40, 1, 1, 1, 1)), (40, 6, 6, 8, 8))
    rounded = blocks.copy()
    rounded[..., 1:4, 1:4] = np.rint(blocks / table * 2)[..., 1:4, 1:4] * table[1:4, 1:4] / 2

    def pictures(cosines):
        pixels = scipy.fft.idctn(cosines, axes=(-2, -1), norm="ortho").swapaxes(2, 3)
        grey = np.rint(128 + pixels.reshape(40, 48, 48, 1))
        return np.clip(grey + np.array([20, 0, -30]), 0, 255).astype(np.uint8)

    covers, stegos = pictures(blocks), pictures(rounded)
    assert np.array_equal(colour_rich(covers), colour_rich(stegos))
    found = detect(FeatureDetector(block_cosines, shrinkage=0.1), covers, stegos, np.arange(40), 4)
    assert found.p_e < 0.1


def test_what_is_no_batch_of_images_is_refused():
    with pytest.raises(ValueError, match="images must be uint8"):
        block_cosines(IMAGES / 255)
    with pytest.raises(ValueError, match="sides of 8 pixels"):
        block_cosines(IMAGES[:, :7])
    with pytest.raises(ValueError):
        block_cosines(IMAGES, np.ones((2, 19, 26)))
