"""Arrays of images → splits, pairs of cover and secret, batches of pairs."""

import functools

import keras
import numpy as np


def split_images(images: np.ndarray, held_out: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indices of a training part and of a held-out part of `held_out` images, drawn by `seed`."""
    if not 2 <= held_out <= len(images) - 2:
        raise ValueError(f"held_out must lie in 2…{len(images) - 2}, not {held_out}.")
    order = np.random.default_rng(seed).permutation(len(images))
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def draw_pairs(n_images: int, n_pairs: int, seed: int = 0) -> np.ndarray:
    """Indices int [n_pairs, 2] of covers and secrets.

    No image is paired with itself. Up to `n_images // 2` pairs, all images are distinct; up
    to `n_images`, no image is a cover twice or a secret twice.
    """
    if n_images < 2:
        raise ValueError(f"Pairs need at least 2 images, not {n_images}.")
    rounds = []
    for k in range(-(-n_pairs // n_images)):
        order = np.random.default_rng([seed, k]).permutation(n_images)
        rounds.append(np.stack([order, np.roll(order, -(n_images // 2))], axis=1))
    return np.concatenate(rounds)[:n_pairs] if rounds else np.empty((0, 2), int)


def load_pairs(images: np.ndarray, n_pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Covers and secrets, each uint8 [n_pairs, h, w, 3], drawn by `draw_pairs`."""
    covers, secrets = draw_pairs(len(images), n_pairs, seed).T
    return images[covers], images[secrets]


class PairBatches(keras.utils.PyDataset):
    """All batches `((covers, secrets), both)` of a training, epoch after epoch, for `fit`.

    Images are paired and mirrored afresh every epoch; each is a cover once and a secret once.
    `both` is uint8 [n, h, w, 6], the target that `losses` compare with. What a batch holds
    depends on the seed and its number alone, so a resumed run sees what an uninterrupted one
    would have seen. Give `steps_per_epoch` to `fit` too, so that it counts epochs as we do.

    Args:
        images: uint8 [n, h, w, 3].
        batch_size: pairs in a batch; the rest of an epoch that fills none is left out.
        chosen: indices of the images to use, None for all.
        epochs: how many epochs there are in all.
        first_epoch: the epoch to begin with, counted from 0.
        seed: integer.
        augment: whether to mirror covers and secrets at random, left to right.

    Raises:
        ValueError: the images do not fill one batch.
    """

    def __init__(
        self, images, batch_size, chosen=None, epochs=1, first_epoch=0, seed=0, augment=True
    ):
        super().__init__()
        self.chosen = np.arange(len(images)) if chosen is None else np.asarray(chosen)
        if len(self.chosen) < batch_size:
            raise ValueError(f"{len(self.chosen)} images do not fill a batch of {batch_size}.")
        self.batch_size, self.seed, self.augment = batch_size, seed, augment
        # Numpy copies whole pixels three times as fast as their samples.
        self._pixels = np.ascontiguousarray(images).view("V3")[..., 0]
        self.steps_per_epoch = len(self.chosen) // batch_size
        self.first, self.last = first_epoch * self.steps_per_epoch, epochs * self.steps_per_epoch
        self._pairs = functools.lru_cache(maxsize=2)(self._draw_epoch)

    def _draw_epoch(self, epoch):
        n = len(self.chosen)
        seed = int(np.random.default_rng([self.seed, epoch]).integers(2**31))
        return self.chosen[draw_pairs(n, n, seed)]

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, index):
        epoch, update = divmod(self.first + index, self.steps_per_epoch)
        pairs = self._pairs(epoch)[update * self.batch_size : (update + 1) * self.batch_size]
        batch = self._pixels[pairs]  # [n, 2, h, w]
        if self.augment:
            mirror = np.random.default_rng([self.seed, epoch, update]).random(pairs.shape) < 0.5
            batch[mirror] = batch[mirror][:, :, ::-1]
        both = np.stack([batch[:, 0], batch[:, 1]], axis=-1).view(np.uint8)
        covers, secrets = (batch[:, i, ..., None].view(np.uint8) for i in range(2))
        return (covers, secrets), both
