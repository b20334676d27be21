import functools

import numpy as np
import pytest
import skimage

from steglib import load_model
from steglib.channels.jpeg import JpegChannel
from steglib.research import survival
from steglib.research.survival import survive_jpeg, survived_damage


def test_more_parity_survives_more():
    table = survived_damage((48, 48), trials=2)
    assert list(table.index) == ["low", "medium", "high"]
    assert list(table.columns) == ["run", "square", "scattered"]
    assert (table.diff().iloc[1:] > 0).all(axis=None)
    assert (table["scattered"] < table["square"]).all()


@pytest.mark.slow
def test_runs_survive_up_to_what_parity_can_mend():
    table = survived_damage((96, 96), trials=3)
    assert (table["run"] < [100 / 16, 100 / 8, 100 / 4]).all() and (table["run"] > 2).all()


def test_photographs_through_jpeg(monkeypatch):
    """Each in the one before; a promise that is not kept is counted."""
    photo = skimage.data.astronaut()
    photos = {"hair": photo[:200, 100:300], "suit": photo[250:450, 200:400]}
    monkeypatch.setattr(JpegChannel, "promises", lambda self: ["jpeg:75", "resize:0.4"])
    monkeypatch.setattr(JpegChannel, "probe", lambda self, cover: [])
    monkeypatch.setattr(JpegChannel, "broken", lambda self, stego, data: [])
    protected = functools.partial(load_model, level=3)  # the crops are small
    monkeypatch.setattr(survival, "load_model", protected)
    table = survive_jpeg(photos)
    assert list(table.index) == ["suit in hair", "hair in suit", "mean"]
    assert (table["kept"] == 1).all() and (table["lost"] == 1).all() and (table["level"] == 3).all()
    assert (table["cover PSNR"] > 35).all() and (table["secret PSNR"] > 20).all()
    assert (table["bits a pixel"] > 0.1).all()
    assert np.allclose(table.loc["mean"], table.iloc[:2].mean())
