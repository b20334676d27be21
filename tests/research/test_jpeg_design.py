import json

import numpy as np
import pytest
import skimage
from PIL import Image

from steglib.channels import jpeg
from steglib.channels.coefficients import GRID, Design, Writer, best_moves
from steglib.research import jpeg_design

PHOTO = skimage.data.astronaut()


@pytest.fixture
def quick(monkeypatch):
    for name, value in {"TRIALS": 4, "FACTORS": (1, 1.2), "SAMPLES": 300, "SIDE": 128}.items():
        monkeypatch.setattr(jpeg_design, name, value)


def simulated(value, channel, step, draws=200_000):
    """How often a value is read as a 1, by drawing what happens to it."""
    rng = np.random.default_rng(0)
    values, sigma = np.full(draws, float(value)), 0.36
    for jpeg_step in channel:
        values = jpeg_step * np.rint((values + sigma * rng.normal(size=draws)) / jpeg_step)
        sigma = jpeg_design.BETWEEN
    return (np.rint((values + 0.36 * rng.normal(size=draws)) / step) % 2).mean()


@pytest.mark.parametrize("channel", [(3,), (11,), (7, 5)])
def test_the_risk_is_that_of_a_simulation(channel):
    step = 8.0
    wrong = jpeg_design._wrong((channel,), step, 40.0)[0]
    middle = wrong.shape[1] // 2
    for index in (0, 13, 29, -40, 60):
        one = simulated(index * step / GRID, channel, step)
        assert wrong[:, middle + index] == pytest.approx([one, 1 - one], abs=0.01)


def test_values_move_to_where_they_are_safe_but_not_further_than_that_is_worth():
    step = 8.0
    wrong = jpeg_design._wrong(((5,),), step, 80.0)[0]
    index = wrong.shape[1] // 2 + np.arange(-3 * GRID, 3 * GRID)
    risks, changes = {}, {}
    for price in (0.001, 0.03, 10.0):
        values, costs = best_moves(wrong, step, price, 7.0)
        places = np.rint(values * GRID / step).astype(int) + wrong.shape[1] // 2
        risks[price] = np.take_along_axis(wrong, places, axis=1)[:, index].mean()
        before = (np.arange(wrong.shape[1]) - wrong.shape[1] // 2) * step / GRID
        changes[price] = np.square(values - before)[:, index].mean()
        assert (costs[:, index] >= 0).all()
    assert risks[0.001] < 0.001 < risks[0.03] < risks[10.0]
    assert changes[0.001] > changes[0.03] > 10 * changes[10.0]


def test_a_design_is_made_from_photographs_and_shipped(quick, tmp_path, monkeypatch):
    folder, weights = tmp_path / "photos", tmp_path / "weights"
    folder.mkdir(), weights.mkdir()
    for i in range(2):
        Image.fromarray(PHOTO[:, 100 * i : 300 + 100 * i]).save(folder / f"{i}.png")
    monkeypatch.setattr(jpeg, "WEIGHTS", weights)
    monkeypatch.setitem(jpeg_design.PROMISES, 85, (0.05, False))
    path = jpeg_design.ship_design(folder, 85)
    design = Design.load(path)
    assert path == weights / "jpeg-85.npz" and design.quality == 85 and not design.twice
    assert design.errors.shape[0] == design.frequencies.shape[0] + 1 == 13
    assert design.errors.min() > 0 and design.errors.max() < 1
    assert np.allclose(design.frequencies.sum(axis=1), 1, atol=1e-3)
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["command"].endswith("--quality 85 --price 0.05")
    assert "2 photos, 128×128 pixels" in card["data"]

    coefficients = np.full((len(design.places), 1, 1), 10.0, np.float32)
    values, costs = Writer(design, 7.0).moves(coefficients)
    assert values.shape == costs.shape == (2, *coefficients.shape)

    monkeypatch.setattr(jpeg, "load_design", lambda quality: design)
    channel = jpeg.JpegChannel(85, level=2)
    stego = channel.write(PHOTO[:256, :256], b"all of this")
    assert channel.read(jpeg.damaged(stego, "jpeg:85")).data == b"all of this"
