import numpy as np
import pandas as pd
import pytest
import skimage

from steglib import zoo
from steglib.__main__ import main
from steglib.images.arrays import cut_squares
from steglib.images.photos import write_photo
from steglib.research import red_team
from steglib.steganalysis.detectors import FeatureDetector
from steglib.steganalysis.features import colour_spam


@pytest.fixture(scope="module")
def photos():
    """Four pieces of two photographs that never were JPEG files."""
    astronaut, coffee = skimage.data.astronaut(), skimage.data.coffee()
    return [x[y : y + 128, 100:228] for x in (astronaut, coffee) for y in (50, 200)]


def test_a_row_for_each_opponent_a_column_for_each_detector(photos):
    table = red_team.red_team(photos, ("lsb:1", "residue:2"), (0.4,), side=64, splits=2)
    assert list(table.index[:3]) == ["LSB, 1 bit", "residue, base 2", "LSB replacement, 0.4"]
    assert len(table) == 2 + 6
    assert list(table.columns) == [
        *("images", "chi square", "sample pairs", "weighted stego"),
        *("features", "cosines", "aware features"),
    ]
    assert table["images"].tolist() == [16] * 8
    assert (table["aware features"] != "–").tolist() == [False] * 5 + [True] * 3
    assert table.loc["LSB replacement, 0.4", "weighted stego"] < table.loc["HILL, 0.4", "features"]
    for detector in ("features", "cosines"):
        assert table[detector].str.fullmatch(r"1?\.\d{3} ± \.\d{3}").all()


def test_quiet_hides_less_and_skips_what_it_refuses(photos):
    flat = np.full_like(photos[0], 255)
    opponent = red_team.hidden("quiet:0.05")
    covers, _ = cut_squares([photos[0], flat], 128)
    stegos, taken = opponent.make(covers)
    assert taken.tolist() == [0] and opponent.rate == 0.05 and opponent.costs is not None
    assert 0 < np.mean(stegos != covers[taken]) < 0.03


def test_a_detector_may_know_where_to_look(photos):
    weights = red_team.aware(red_team.COSTS["HILL"], 0.1)(photos[0])
    assert weights.shape == (128, 128) and (weights >= 0).all() and weights.std() > 0
    opponent = red_team.simulated("HILL", 0.1)
    detector = FeatureDetector(colour_spam, red_team.aware(opponent.costs, opponent.rate))
    assert detector.observe(np.stack(photos)).shape == (4, 200)


def test_photographs_of_another_source(photos):
    table = red_team.elsewhere(photos, [photos[0][:, ::-1]], (0.4,), side=64, splits=2)
    assert len(table) == 6 and ((table >= 0) & (table <= 1)).all(axis=None)
    assert np.allclose(table["another"], table[["false alarms", "missed"]].mean(axis=1))


def test_every_hider_is_an_opponent():
    named = {zoo.parse(spec)[0] for spec in red_team.HIDERS}
    assert named >= {name for name, entry in zoo.MODELS.items() if entry.photos}


@pytest.mark.parametrize("options, asked", [([], "red_team"), (["--elsewhere"], "elsewhere")])
def test_the_command_asks_for_a_table(monkeypatch, tmp_path, photos, capsys, options, asked):
    def measure(*given):
        assert all(np.array_equal(found[0], photos[0]) for found in given)
        return pd.DataFrame({"measured": [".1 ± .2"]}, [str(len(given))])

    write_photo(photos[0], tmp_path / "one.png")
    monkeypatch.setattr(red_team, asked, measure)
    options = [*options, *[str(tmp_path)] * len(options)]
    assert main(["benchmark", "--detect", "--data", str(tmp_path), *options]) == 0
    assert capsys.readouterr().out.split()[1:] == [str(1 + len(options) // 2), ".1", "±", ".2"]
