"""How much damage hidden data survive."""

import bisect

import numpy as np
import pandas as pd
from tqdm import tqdm

from steglib.channels import parity as correction
from steglib.channels import residues as payload
from steglib.images.damage import DAMAGES
from steglib.research.photographs import large_picture


def survived_damage(size=(256, 256), base: int = 5, trials: int = 10) -> pd.DataFrame:
    """How much of a stego image may be destroyed, at random places, at each level of protection.

    Args:
        size: height and width.
        base: of the residues, 2…16.
        trials: all of which the secret must survive.

    Returns:
        A row for each level; for each kind of damage in `DAMAGES` the % of samples, to a tenth of
        itself.
    """
    cover, found = large_picture(size), {}
    for level, name in enumerate(correction.LEVELS[1:], 1):
        data = np.random.default_rng(0).bytes(payload.capacity(cover.shape, base, level=level))
        stego = payload.embed(cover, data, base, level=level)
        kinds = tqdm(DAMAGES.items(), name)
        found[name] = {kind: _most_damage(stego, data, it, trials) for kind, it in kinds}
    return pd.DataFrame(found).T


def _most_damage(stego, data, places, trials):
    def dies(share):
        return not all(survives(share, np.random.default_rng(seed)) for seed in range(trials))

    def survives(share, rng):
        damaged = stego.copy()
        where = places(rng, stego.shape, round(share * stego.size))
        damaged.reshape(-1)[where] = rng.integers(0, 256, len(where))
        try:
            return payload.extract(damaged).data == data
        except payload.PayloadError:
            return False

    shares = np.append(0, np.geomspace(0.0001, 0.5, 90))
    return 100 * shares[bisect.bisect_left(shares, True, key=dies) - 1]
