import json

import pytest

from steglib import load_images, load_model, load_pairs, zoo
from steglib.__main__ import main
from steglib.evaluation import metrics
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.research.cards import ship
from steglib.training.run import load_history, train

TINY = ClassicConfig(images=24, held_out=8, epochs=2, batch_size=8, width=16, hidden=8, seed=7)
PAIRS = load_pairs(load_images("sample", "val").images, 4, seed=0)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path / "weights")
    return tmp_path / "weights"


@pytest.mark.slow
def test_the_card_of_one_hider(home, weights, capsys):
    run = train(ClassicRecipe(TINY), "mine", verbose=0)
    assert main(["ship", "mine", "--pairs", "4", "--note", "a trial"]) == 0
    assert capsys.readouterr().out.split()[-1] == str(weights / "mine.json")
    card = json.loads((weights / "mine.json").read_text())
    assert (card["name"], card["note"], card["seed"]) == ("mine", "a trial", 7)
    assert card["parameters"] == json.loads((run / "metrics.json").read_text())["parameters"]
    assert card["curve"] == load_history(run).round(4).to_dict("list")

    # The card's command trains the same, and its scores are those of the shipped file.
    assert main(card["command"].replace("--name mine", "--name again").split()[3:]) == 0
    config = (home / "runs" / "again" / "config.json").read_text()
    assert config == (run / "config.json").read_text()
    covers, secrets = PAIRS
    stegos = load_model(weights / "mine.keras").hide(covers, secrets)
    psnr = metrics.psnr(covers, stegos).mean()
    assert card["scores"]["cover_psnr"] == pytest.approx(psnr, abs=1e-3)


def test_the_card_of_a_hider_with_rates(home, weights):
    """A run whose model is a file of another kind."""
    run = home / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "history.csv").write_text("epoch,loss\n0,1.23456\n")
    (run / "config.json").write_text(json.dumps({"model": "residue", "updates": 7}))
    (run / "metrics.json").write_text(json.dumps({"parameters": 12}))
    load_model("residue").codec.save(run / "model.npz")
    assert ship(run, pairs=4) == weights / "mine.json"
    card = json.loads((weights / "mine.json").read_text())
    assert card["command"].endswith("train residue --name mine --updates 7")
    assert card["parameters"] == 12 and card["seed"] == 0
    assert card["curve"] == {"epoch": [0], "loss": [1.2346]}
    rates = [f"mine, {rate} bits a sample" for rate in ("1.45", "2", "2.32", "3")]
    rates.insert(0, "mine, 1 bit a sample")
    assert list(card["scores"]) == rates + [f"mine, base {base}" for base in (2, 3, 5, 8)]
    for setting in ({"base": 3}, {"rate": 1.45}):
        hider = load_model(weights / "mine.npz", **setting)
        psnr = metrics.psnr(PAIRS[0], hider.hide(*PAIRS)).mean()
        assert card["scores"][hider.name]["cover_psnr"] == pytest.approx(psnr, abs=1e-3)
    assert {file.name for file in weights.iterdir()} == {"mine.json", "mine.npz"}


def test_only_finished_runs_ship(home, weights):
    (home / "runs" / "begun").mkdir(parents=True)
    with pytest.raises(ValueError, match="not complete"):
        ship(home / "runs" / "begun")
    assert not weights.exists()
