import json

import pandas as pd
import pytest

from steglib import load_images, load_model, load_pairs
from steglib.__main__ import main
from steglib.codec import learning as codec_training
from steglib.evaluation import metrics
from steglib.research import commands as cli_research
from steglib.research import photographs, race, survival


def test_evaluate_prints_the_table(home, tmp_path, capsys):
    scores = tmp_path / "scores.csv"
    assert main(["evaluate", "classic", "--pairs", "4", "--csv", str(scores)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(scores)
    assert table["model"].unique().tolist()[:2] == ["classic", "linear hiding"]
    assert len(table) == 6 * 4
    mean = table[table["model"] == "classic"]["cover_psnr"].mean()
    assert f"{mean:.3f}" in printed and "LSB, 4 bits" in printed


def test_evaluate_without_training_images(home, tiny_imagenet, tmp_path, capsys):
    (tmp_path / "val").symlink_to(tiny_imagenet / "val")
    (tmp_path / "train").mkdir()
    assert main(["evaluate", "lsb:3", "--data", str(tmp_path), "--pairs", "2"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("LSB, 3 bits") < printed.index("LSB, 1 bit")
    assert "linear hiding" not in printed


@pytest.mark.parametrize(
    "option, module, function, asked",
    [
        ("--photographs", photographs, "score_photographs", ["residue, base 5", "classic"]),
        ("--codecs", photographs, "full_size", [2, 3, 5]),
        ("--damage", survival, "survived_damage", []),
    ],
)
def test_benchmark_prints_another_table(monkeypatch, capsys, option, module, function, asked):
    def measure(*arguments):
        given.extend(getattr(x, "name", x) for argument in arguments for x in argument)
        return pd.DataFrame({"measured": [1.2345]})

    given = []
    monkeypatch.setattr(module, function, measure)
    assert main(["benchmark", option]) == 0
    assert given == asked and capsys.readouterr().out.split() == ["measured", "0", "1.23"]


def test_benchmark_learn_writes_a_table_and_a_plot(monkeypatch, tmp_path, capsys):
    def learn(images, minutes, watch):
        assert len(images) == 256 and len(watch[0]) == 48
        return pd.DataFrame({"minutes": minutes, "model": "m", "cover_psnr": 30, "secret_psnr": 20})

    monkeypatch.setattr(race, "learning_curves", learn)
    assert main(["benchmark", "--learn", "10", "--csv", str(tmp_path / "a.csv")]) == 0
    assert pd.read_csv(tmp_path / "a.csv")["minutes"].iloc[[0, -1]].tolist() == [0.5, 10]
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "Keras" in capsys.readouterr().out


def test_train_refuses_what_exists(home, capsys):
    options = ["--images", "24", "--held-out", "8", "--epochs", "1", "--batch-size", "8"]
    options += ["--width", "16", "--hidden", "8", "--no-mixed-precision", "--beta", "0.5"]
    assert main(["train", "--name", "again", *options]) == 0
    assert main(["train", "--name", "again", *options]) == 2
    assert "exists" in capsys.readouterr().err
    assert main(["train", "--name", "again", "--resume"]) == 0
    assert '"beta": 0.5' in (home / "runs" / "again" / "config.json").read_text()


def test_ship_writes_weights_and_their_card(home, tmp_path, monkeypatch):
    options = ["--images", "24", "--held-out", "8", "--epochs", "2", "--batch-size", "8"]
    options += ["--width", "16", "--hidden", "8", "--seed", "7"]
    assert main(["train", "--name", "mine", *options]) == 0
    monkeypatch.setattr(cli_research, "WEIGHTS", tmp_path)
    assert main(["ship", "mine", "--pairs", "4", "--note", "a trial"]) == 0
    card = json.loads((tmp_path / "mine.json").read_text())
    assert card["seed"] == 7 and card["note"] == "a trial"
    assert len(card["curve"]["val_loss"]) == 2

    # The card's command trains the same, and its scores are those of the shipped file.
    again = card["command"].replace("--name mine", "--name again").split()[3:]
    assert main(again) == 0
    runs = home / "runs"
    assert (runs / "again" / "config.json").read_text() == (runs / "mine/config.json").read_text()
    val = load_images("sample", "val").images
    stegos = load_model(tmp_path / "mine.keras").hide(*load_pairs(val, 4, seed=0))
    psnr = metrics.psnr(load_pairs(val, 4, seed=0)[0], stegos).mean()
    assert card["scores"]["cover_psnr"] == pytest.approx(psnr, abs=1e-3)


def test_train_codec_writes_weights_and_their_card(home, tmp_path, monkeypatch):
    asked = []

    def learn(images, *steps, **options):  # learning itself is tested in test_codec
        asked.append((len(images), *steps, options["seed"]))
        return load_model("residue").codec

    monkeypatch.setattr(codec_training, "learn_codec", learn)
    path = tmp_path / "new" / "mine.npz"
    options = ["--context-steps", "7", "--restorer-steps", "3", "--seed", "5", "--pairs", "4"]
    assert main(["train-codec", *options, "-o", str(path)]) == 0
    card = json.loads(path.with_suffix(".json").read_text())
    again = card["command"].split()[3:-1]
    assert main([*again, str(path), "--pairs", "4"]) == 0
    assert asked == [(256, 7, 3, 5)] * 2
    covers, secrets = load_pairs(load_images("sample", "val").images, 4, seed=0)
    psnr = metrics.psnr(covers, load_model(path, base=3).hide(covers, secrets)).mean()
    assert card["scores"]["mine, base 3"]["cover_psnr"] == pytest.approx(psnr, abs=1e-3)
    assert main(["train-codec", "-o", str(tmp_path / "mine.keras")]) == 2
