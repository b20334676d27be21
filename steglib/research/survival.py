"""How much damage hidden data survive."""

import bisect

import numpy as np
import pandas as pd
from tqdm import tqdm

from steglib.channels import parity as correction
from steglib.channels.frame import PayloadError
from steglib.channels.residues import ResidueChannel
from steglib.images import damage
from steglib.research.photographs import collage


def survived_damage(size=(256, 256), base: int = 5, trials: int = 10) -> pd.DataFrame:
    """How much of a stego image may be overwritten, at each level of protection.

    Args:
        size: height and width.
        base: of the residues, 2…16.
        trials: how many random places; the data must survive at all of them.

    Returns:
        A row for each level; for each of `damage.KINDS` the % of samples, to a tenth of itself.
    """
    cover, found = collage(size), {}
    for level, name in enumerate(correction.LEVELS[1:], 1):
        channel = ResidueChannel(base, level=level)
        data = np.random.default_rng(0).bytes(channel.capacity(cover.shape))
        stego = channel.write(cover, data)
        kinds = tqdm(damage.KINDS, name)
        found[name] = {kind: 100 * _most_overwritten(stego, data, kind, trials) for kind in kinds}
    return pd.DataFrame(found).T


def _most_overwritten(stego, data, kind, trials):
    def dies(share):
        return not all(survives(share, seed) for seed in range(trials))

    def survives(share, seed):
        try:
            return ResidueChannel().read(damage.overwrite(stego, share, kind, seed)).data == data
        except PayloadError:
            return False

    shares = np.append(0, np.geomspace(0.0001, 0.5, 90))
    return shares[bisect.bisect_left(shares, True, key=dies) - 1]
