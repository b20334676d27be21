"""What every hider is: two methods on 8-bit images."""

import numpy as np

from steglib.channels.files import HiddenFile
from steglib.images import arrays
from steglib.images.arrays import check_images


class Hider:
    """Base class: a hider defines `_hide` and `_reveal` on batches uint8 [n, h, w, 3].

    Attributes:
        name: what tables and figures call it.
        min_side: the least height and width it takes, in pixels.
        same_size: whether a secret must be of its cover's size.
        key: the password that seals what it hides, bytes; None for none.
        takes_unrounded: whether `hide_remarked` takes the cover as it was before rounding, too.
        detects: whether `reveal` raises PayloadError for an image that hides nothing.
    """

    name = "hider"
    min_side = 1
    same_size = True
    key = None
    takes_unrounded = False
    detects = False

    def hide(self, cover, secret) -> np.ndarray:
        """The stego image: looks like the cover, holds the secret.

        Args:
            cover: uint8 [h, w, 3] or [n, h, w, 3], RGB.
            secret: the same shape, but for the height and width where `same_size` is False.

        Returns:
            uint8, the shape of `cover`.

        Raises:
            ValueError: another dtype or shape, mismatched sizes, or too small an image.
        """
        return self._hide(*self._check_both(cover, secret)).reshape(np.shape(cover))

    def reveal(self, stego) -> np.ndarray:
        """The secret in `stego`, uint8 in the shape that it had.

        Raises:
            ValueError: another dtype or shape, or too small an image.
        """
        revealed = self._reveal(self._check(stego, "stego"))
        return revealed if np.ndim(stego) == 4 else revealed[0]

    def hide_remarked(self, cover, secret) -> tuple[np.ndarray, list[str]]:
        """The stego image of one cover uint8 [h, w, 3], and remarks on it. Raises as `hide`."""
        return self.hide(cover, secret), []

    def reveal_remarked(self, stego) -> tuple[np.ndarray, list[str]]:
        """The secret in one image uint8 [h, w, 3], and remarks on it. Raises as `reveal`."""
        return self.reveal(stego), []

    def hide_file(self, cover, file: HiddenFile) -> tuple[np.ndarray, list[str]]:
        """The stego image of one cover uint8 [h, w, 3] that hides any file, and remarks on it.

        Raises:
            ValueError: as `hide`; it hides pictures only; or the cover has not enough room.
        """
        raise ValueError(f"{self.name} hides pictures only: choose residue, for any file.")

    def reveal_any(self, stego) -> tuple[np.ndarray | HiddenFile, list[str]]:
        """As `reveal_remarked`, but also a file that was hidden, or a text."""
        return self.reveal_remarked(stego)

    def fit_secret(self, secret, cover) -> np.ndarray:
        """A secret of any size, uint8 [h, w, 3], as it can be hidden in this cover: of its size."""
        return arrays.fit_to(secret, *np.shape(cover)[:2])

    def fits(self, secret, cover) -> bool:
        """Whether the secret, uint8 [h, w, 3], can be hidden in this cover as it is."""
        return np.shape(secret) == np.shape(cover)

    def _check_both(self, cover, secret):
        """Both as batches."""
        covers, secrets = self._check(cover, "cover"), self._check(secret, "secret")
        alike = np.shape(cover) == np.shape(secret) or (
            not self.same_size and np.shape(cover)[:-3] == np.shape(secret)[:-3]
        )
        if not alike:
            raise ValueError(
                f"cover and secret must have the same shape, "
                f"not {list(np.shape(cover))} and {list(np.shape(secret))}."
            )
        return covers, secrets

    def _check(self, images, name):
        images = check_images(images, name)
        if min(images.shape[1:3]) < self.min_side:
            raise ValueError(
                f"{self.name} needs at least {self.min_side}×{self.min_side} pixels, "
                f"{name} has {images.shape[2]}×{images.shape[1]}: enlarge it."
            )
        return images

    def _hide(self, covers, secrets):
        raise NotImplementedError

    def _reveal(self, stegos):
        raise NotImplementedError
