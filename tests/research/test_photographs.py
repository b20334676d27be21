import numpy as np
import pandas as pd
import pytest

from steglib import LSB, evaluate, load_model, summarise, zoo
from steglib.evaluation import metrics
from steglib.evaluation.scores import ROUNDING_PSNR
from steglib.images.arrays import fit_to
from steglib.research import photographs


@pytest.fixture
def small(monkeypatch, pairs):
    """Photographs of three sizes and collages of a fourth, all small."""
    pictures = {"b": pairs[0][1, :24], "c": pairs[0][2, :40], "a": pairs[0][0, :, :24]}
    monkeypatch.setattr(photographs, "photographs", lambda: pictures)
    monkeypatch.setattr(photographs, "PIECE", 16)
    monkeypatch.setattr(photographs, "COLLAGE", (50, 70))
    return pictures


def test_collages_are_as_sharp_as_their_sources():
    picture = photographs.collage((300, 400))
    assert picture.shape == (300, 400, 3) and picture.dtype == np.uint8
    assert not np.array_equal(picture, photographs.collage((300, 400), seed=1))
    sources = photographs.photographs().values()
    piece = picture[:4, :9]
    windows = [np.lib.stride_tricks.sliding_window_view(source, piece.shape) for source in sources]
    assert any(
        (part == p).all((-3, -2, -1)).any() for p in (piece, piece[:, ::-1]) for part in windows
    )


def test_each_photograph_hides_the_next_larger_one(small):
    pairs = photographs.photograph_pairs()
    assert list(pairs) == [
        *("a in b", "c in a", "collage 1 in c", "collage 2 in collage 1"),
        "collage 1 in collage 2",
    ]
    cover, secret = pairs["c in a"]
    assert np.array_equal(cover, small["a"])
    assert np.array_equal(secret, fit_to(small["c"], 64, 24))
    collage, other = pairs["collage 2 in collage 1"]
    assert collage.shape == (50, 70, 3) and not np.array_equal(collage, other)


def test_score_photographs(small, monkeypatch):
    class Nothing(LSB):
        """Its covers come back exactly."""

        name = "nothing"

        def __init__(self):
            pass

        def _hide(self, covers, secrets):
            return covers

        def _reveal(self, stegos):
            return stegos

    table = photographs.score_photographs([LSB(2), Nothing()])
    assert list(table.index) == [*photographs.photograph_pairs(), "mean"]
    cover, secret = photographs.photograph_pairs()["c in a"]
    wanted = summarise(evaluate([LSB(2)], cover[None], secret[None])).loc["LSB, 2 bits"]
    found = table.loc["c in a", "LSB, 2 bits"]
    assert found.to_dict() == pytest.approx(wanted[found.index].to_dict())
    assert set(found.index) == {"cover_psnr", "cover_ssim", "secret_psnr", "secret_ssim"}
    assert table.loc["mean", ("nothing", "cover_psnr")] == pytest.approx(ROUNDING_PSNR)
    pd.testing.assert_series_equal(table.iloc[-1], table.iloc[:-1].mean(), check_names=False)


def test_full_size(small, monkeypatch):
    names = {"residue", "jpeg"}
    monkeypatch.setattr(
        zoo, "MODELS", {k: v for k, v in zoo.MODELS.items() if k in names | {"lsb", "quiet"}}
    )
    table = photographs.full_size({"c": small["c"]}, (1.0, 2.32))
    hiders = [load_model(x, rate=rate) for rate in (1.0, 2.32) for x in ("residue", "jpeg")]
    assert list(table.index) == [hider.name for hider in hiders]
    image, jpeg = small["c"], hiders[-1]
    revealed = jpeg.reveal(jpeg.hide(image[::-1, ::-1], image))
    assert table.loc[jpeg.name, "c"] == metrics.psnr(image[None], revealed[None])[0]
    assert (table["mean"] == table["c"]).all()
