"""How much damage hidden data survive."""

import bisect

import numpy as np
import pandas as pd
from tqdm import tqdm

from steglib.channels import parity as correction
from steglib.channels.frame import PayloadError
from steglib.channels.residues import ResidueChannel
from steglib.evaluation import metrics
from steglib.images.arrays import fit_to
from steglib.images.damage import damaged
from steglib.research.photographs import collage
from steglib.zoo import load_model

KINDS = "run", "square", "scattered"


def survived_damage(size=(256, 256), trials: int = 10, **options) -> pd.DataFrame:
    """How much of a stego image may be overwritten, at each level of protection.

    Args:
        size: height and width.
        trials: how many random places; the data must survive at all of them.
        options: of the `ResidueChannel`.

    Returns:
        A row for each level; for each of `KINDS` the % of samples, to a tenth of itself.
    """
    cover, found = collage(size), {}
    for level, name in enumerate(correction.LEVELS[1:], 1):
        channel = ResidueChannel(level=level, **options)
        data = np.random.default_rng(0).bytes(channel.capacity(cover.shape))
        stego = channel.write(cover, data)
        kinds = tqdm(KINDS, name)
        found[name] = {kind: 100 * _most_overwritten(stego, data, kind, trials) for kind in kinds}
    return pd.DataFrame(found).T


def survive_jpeg(photos: dict, quality: int = 75, price: float | None = None) -> pd.DataFrame:
    """How well photographs come through JPEG, each hidden in the one before.

    Args:
        photos: uint8 [h, w, 3] by name.
        quality: the least that is promised.
        price: of a change of the cover, see `channels.jpeg.JpegChannel`.

    Returns:
        A row for each cover: PSNRs in dB, the payload in bits for each pixel of the cover, the
        level of protection that its certificate took; after how many of all promised ways the
        whole payload was read once more, and after how many it was not. And their means.
    """
    hider, rows, names = load_model("jpeg-proof", quality=quality, price=price), {}, list(photos)
    for cover, secret in zip(tqdm(names), [*names[1:], names[0]], strict=True):
        image = photos[cover]
        wanted = fit_to(photos[secret], *image.shape[:2])
        stego = hider.hide(image, wanted)
        payload = hider.read(stego)
        lines = hider.channel.promises()
        kept = [_read_after(line, stego, hider) == payload.data for line in lines]
        revealed = hider.decode([payload])
        rows[f"{secret} in {cover}"] = {
            "cover PSNR": metrics.psnr(image[None], stego[None])[0],
            "secret PSNR": metrics.psnr(wanted[None], revealed)[0],
            "bits a pixel": 24 * len(payload.data) / image.size,
            "level": payload.layout.level,
            "kept": sum(kept),
            "lost": len(kept) - sum(kept),
        }
    table = pd.DataFrame(rows).T
    return pd.concat([table, table.mean().to_frame("mean").T])


def over_prices(photos: dict, quality: int, prices) -> pd.DataFrame:
    """What `survive_jpeg` finds: a row for each of several prices, or for each cover of one.

    Of several prices, they are means, beside the worst cover; of what was lost, the sum.
    """
    tables = {price: survive_jpeg(photos, quality, price) for price in prices}
    if len(tables) == 1:
        return tables.popitem()[1]
    rows = {
        price: table.loc["mean"].to_dict()
        | {"worst cover": table["cover PSNR"].min(), "lost": table["lost"][:-1].sum()}
        for price, table in tables.items()
    }
    return pd.DataFrame(rows).T.rename_axis("price")


def _read_after(line, stego, hider):
    try:
        return hider.read(damaged(stego, line)).data
    except PayloadError:
        return None


def _most_overwritten(stego, data, kind, trials):
    def dies(share):
        return not all(survives(share, seed) for seed in range(trials))

    def survives(share, seed):
        try:
            changed = damaged(stego, f"{kind}:{share}", seed)
            return ResidueChannel().read(changed).data == data
        except PayloadError:
            return False

    shares = np.append(0, np.geomspace(0.0001, 0.5, 90))
    return shares[bisect.bisect_left(shares, True, key=dies) - 1]
