"""One entry in the zoo is all that a hider takes to be everywhere."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from steglib import zoo
from steglib.__main__ import main
from steglib.hider import Hider
from steglib.images.arrays import fit_to
from steglib.tool.playground import HidePanel


class Negative(Hider):
    """Who looks at the stego image sees the secret."""

    name = "the negative"

    def _hide(self, covers, secrets):
        return 255 - secrets

    def _reveal(self, stegos):
        return 255 - stegos


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setattr(zoo, "MODELS", dict(zoo.MODELS))
    zoo.register("negative", zoo.Entry("a toy, for a test", Negative))


def test_help_offers_it(toy, capsys):
    with pytest.raises(SystemExit) as end:
        main(["hide", "--help"])
    assert end.value.code == 0
    assert "negative: a toy, for a test" in " ".join(capsys.readouterr().out.split())


def test_it_hides_and_reveals(toy, tmp_path, pairs, capsys):
    for name, image in (("cover", pairs[0][0][:40]), ("secret", pairs[1][0])):
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    cover, secret, stego, back = (
        str(tmp_path / f"{name}.png") for name in ("cover", "secret", "stego", "back")
    )
    assert main(["hide", cover, secret, "-o", stego, "--model", "negative"]) == 0
    assert "scaled and cropped to 64×40 pixels" in capsys.readouterr().out
    assert main(["reveal", stego, "-o", back, "--model", "negative"]) == 0
    assert "negative reveals something from every picture" in capsys.readouterr().out
    assert np.array_equal(np.asarray(Image.open(back)), fit_to(pairs[1][0], 40, 64))
    assert (
        main(["hide", cover, secret, "-o", str(tmp_path / "no.png"), "--model", "negative:3"]) == 2
    )
    assert "negative has no setting" in capsys.readouterr().err


def test_evaluate_scores_it(toy, tmp_path, capsys):
    scores = tmp_path / "scores.csv"
    assert main(["evaluate", "classic", "--pairs", "2", "--csv", str(scores)]) == 0
    rows = pd.read_csv(scores).groupby("model").mean()
    assert "the negative" in capsys.readouterr().out
    assert rows.loc["the negative", "secret_rmse"] == 0 < rows.loc["classic", "secret_rmse"]


def test_playground_offers_it(toy, tmp_path):
    panel = HidePanel(tmp_path / "stego.png", "coffee", "rocket", "residue", password="swordfish")
    assert "negative" in panel.model.options
    panel.model.value = "negative"
    assert panel.rate.disabled and panel.password.disabled
    panel.button.click()
    assert "There is no password" in panel.message.value and panel.file.is_file()


def test_who_is_not_for_photos_is_not_offered(toy, tmp_path, capsys):
    zoo.register("other", zoo.Entry("not for photos", Negative, photos=False))
    with pytest.raises(SystemExit):
        main(["hide", "--help"])
    assert "other:" not in capsys.readouterr().out
    assert "other" not in HidePanel(tmp_path / "s.png", "coffee", "rocket", "residue").model.options
