import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steglib import load_images, load_pairs
from steglib.images.pairs import PairBatches, draw_pairs, split_images


@given(st.integers(2, 60), st.integers(0, 200), st.integers(0, 2**31))
@settings(max_examples=200, deadline=None)
def test_pairs(n_images, n_pairs, seed):
    drawn = draw_pairs(n_images, n_pairs, seed)
    assert drawn.shape == (n_pairs, 2)
    assert (drawn[:, 0] != drawn[:, 1]).all()
    assert np.array_equal(drawn, draw_pairs(n_images, n_pairs, seed))
    if n_pairs <= n_images // 2:
        assert len(np.unique(drawn)) == 2 * n_pairs
    elif n_pairs <= n_images:
        assert len(np.unique(drawn[:, 0])) == len(np.unique(drawn[:, 1])) == n_pairs


def test_pairs_depend_on_the_seed():
    assert not np.array_equal(draw_pairs(100, 50, 0), draw_pairs(100, 50, 1))


def test_held_out_part_is_disjoint():
    training, held_out = split_images(np.zeros(50), 10, seed=3)
    assert sorted([*training, *held_out]) == list(range(50))
    with pytest.raises(ValueError, match="held_out"):
        split_images(np.zeros(50), 49)


def test_batches_resume_where_they_would_have_been():
    images = load_images("sample", "train", limit=40).images
    whole = PairBatches(images, 8, epochs=3, seed=5)
    resumed = PairBatches(images, 8, epochs=3, first_epoch=2, seed=5)
    assert len(whole) == 15 and len(resumed) == 5
    for i in range(5):
        (covers, secrets), target = whole[10 + i]
        (covers_2, secrets_2), _ = resumed[i]
        assert np.array_equal(covers, covers_2) and np.array_equal(secrets, secrets_2)
        assert np.array_equal(target, np.concatenate([covers, secrets], -1))
        assert target.dtype == np.uint8
    first, second = ({tuple(p) for p in whole._pairs(epoch)} for epoch in (0, 1))
    assert len(first & second) < 10  # paired afresh


def test_batches_of_chosen_images_only():
    images = load_images("sample", "train", limit=40).images
    chosen = np.arange(3, 40, 2)
    (covers, secrets), _ = PairBatches(images, len(chosen), chosen, augment=False)[0]
    wanted = sorted(image.tobytes() for image in images[chosen])
    assert sorted(image.tobytes() for image in covers) == wanted
    assert sorted(image.tobytes() for image in secrets) == wanted


def test_batches_mirror_only_when_asked():
    images = load_images("sample", "train", limit=40).images
    known = {image.tobytes() for image in images}
    (covers, _), _ = PairBatches(images, 40, augment=False)[0]
    assert {image.tobytes() for image in covers} == known
    (covers, _), _ = PairBatches(images, 40)[0]
    mirrored = sum(image.tobytes() not in known for image in covers)
    assert 8 <= mirrored <= 32
    assert all(
        image[:, ::-1].tobytes() in known for image in covers if image.tobytes() not in known
    )


def test_load_pairs():
    images = load_images("sample", "val").images
    covers, secrets = load_pairs(images, 3, seed=2)
    drawn = draw_pairs(len(images), 3, seed=2)
    assert np.array_equal(covers, images[drawn[:, 0]])
    assert np.array_equal(secrets, images[drawn[:, 1]])
