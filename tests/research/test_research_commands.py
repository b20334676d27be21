import re
from dataclasses import fields

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from steglib import zoo
from steglib.__main__ import main
from steglib.codec.learning import CodecRecipe
from steglib.evaluation import scores
from steglib.images.photos import write_photo
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.research import photographs, race, survival
from steglib.steganalysis.networks import DetectorConfig, DetectorRecipe, NetworkDetector
from steglib.training.run import load_config


def test_evaluate_prints_the_table(home, tmp_path, capsys):
    file = tmp_path / "scores.csv"
    assert main(["evaluate", "classic", "--pairs", "4", "--csv", str(file)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(file)
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


def test_evaluate_leaves_out_what_does_not_decode(home, tmp_path, capsys):
    for split, count in (("val", 3), ("train", 2)):
        (tmp_path / split).mkdir()
        for i in range(count):
            write_photo(np.full((64, 64, 3), 60 * i, np.uint8), tmp_path / split / f"{i}.png")
    (tmp_path / "val" / "bad.png").write_bytes(b"none")
    command = ["evaluate", "lsb:1", "--data", str(tmp_path), "--pairs", "1"]
    assert main(command) == 0
    assert "Skipped 1 of 4 files that do not decode: val/bad.png." in capsys.readouterr().out
    assert main([*command, "--on-error", "stop"]) == 2
    assert "bad.png" in capsys.readouterr().err


def test_evaluate_after_damage(home, capsys):
    assert main(["evaluate", "lsb:4", "--pairs", "4", "--damage", "png", "noise:4"]) == 0
    header, *rows = capsys.readouterr().out.split("Secret PSNR after damage:")[1].split("\n")[2:]
    assert header.split() == ["damage", "png", "noise:4"]
    (found,) = [row.split()[-2:] for row in rows if row.startswith("LSB, 4 bits")]
    clean, noisy = map(float, found)
    assert clean > 30 > noisy


@pytest.mark.parametrize(
    "option, module, function, asked",
    [
        (
            "--photographs",
            photographs,
            "score_photographs",
            ["residue, 50 dB", "classic", "plain", "robust"],
        ),
        ("--codecs", photographs, "full_size", [*photographs.photographs(), 1.0, 1.45, 2.0, 2.32]),
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


def test_benchmark_compares_codecs_on_photographs_of_a_folder(monkeypatch, tmp_path, pairs):
    def measure(pictures, rates):
        assert list(pictures) == ["mine"] and np.array_equal(pictures["mine"], pairs[0][0])
        return pd.DataFrame({"measured": [*rates]})

    write_photo(pairs[0][0], tmp_path / "mine.png")
    monkeypatch.setattr(photographs, "full_size", measure)
    assert main(["benchmark", "--codecs", "--data", str(tmp_path)]) == 0


def test_benchmark_learn_writes_a_table_and_a_plot(monkeypatch, tmp_path, capsys):
    def learn(images, minutes, watch):
        assert len(images) == 256 and len(watch[0]) == 48
        return pd.DataFrame({"minutes": minutes, "model": "m", "cover_psnr": 30, "secret_psnr": 20})

    monkeypatch.setattr(race, "learning_curves", learn)
    assert main(["benchmark", "--learn", "10", "--csv", str(tmp_path / "a.csv")]) == 0
    assert pd.read_csv(tmp_path / "a.csv")["minutes"].iloc[[0, -1]].tolist() == [0.5, 10]
    plt.close("all")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert "Keras" in capsys.readouterr().out


OPTIONS = ["--images", "24", "--held-out", "8", "--epochs", "1", "--batch-size", "8"]
OPTIONS += ["--width", "16", "--hidden", "8", "--no-mixed-precision", "--beta", "0.5"]


@pytest.mark.slow
def test_train_refuses_what_exists(home, capsys):
    command = ["train", "classic", "--name", "again"]
    assert main([*command, *OPTIONS]) == 0
    assert main([*command, *OPTIONS]) == 2
    assert "exists" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    run = home / "runs" / "again"
    assert load_config(run, ClassicConfig) == ClassicConfig(
        images=24, held_out=8, epochs=1, batch_size=8, width=16, hidden=8,
        mixed_precision=False, beta=0.5,
    )  # fmt: skip
    assert main([*command, "--resume", "--seed", "1"]) == 2
    assert "another config" in capsys.readouterr().err


@pytest.mark.parametrize(
    "model, recipe",
    [("classic", ClassicRecipe), ("residue", CodecRecipe), ("detector", DetectorRecipe)],
)
def test_train_has_an_option_for_each_field_and_explains_it(capsys, model, recipe):
    with pytest.raises(SystemExit, match="0"):
        main(["train", model, "--help"])
    said = capsys.readouterr().out
    for field in fields(recipe.config_class):
        assert f"--{field.name.replace('_', '-')} " in said.replace(",", " ")
        assert re.search(rf"^    [\w, ]*\b{field.name}\b[\w, ]*: ", said, re.M), field.name


@pytest.mark.slow
def test_a_network_that_detects_is_trained_as_others_are(home):
    few = "--updates", 2, "--epochs", 1, "--batch-size", 4, "--width", 4, "--side", 32
    how = "--images", 20, "--held-out", 8, "--simulator", "HILL", "--rate", 0.2
    assert main(["train", "detector", "--name", "seer", *map(str, [*few, *how])]) == 0
    config = load_config(home / "runs" / "seer", DetectorConfig)
    assert (config.simulator, config.rate, config.side) == ("HILL", 0.2, 32)
    detector = NetworkDetector.load(home / "runs" / "seer" / "model.keras")
    assert detector.score(np.zeros((2, 40, 40, 3), np.uint8)).shape == (2,)


def test_train_knows_what_can_be_trained(capsys):
    for wrong in (["train"], ["train", "jpeg"], ["train", "classic", "--name", "x", "--bet", "x"]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    assert "invalid float value" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        ["residue, 1.45 bits a sample", "LSB, 2 bits"],
        pytest.param(["classic", "linear hiding"], marks=pytest.mark.slow),  # loads Keras
    ],
)
def test_evaluate_scores_the_same_on_a_cluster(cluster, home, tmp_path, pairs, monkeypatch, names):
    """Two batches of pictures in a folder with a relative name."""
    specs = {"residue, 1.45 bits a sample": "residue:1.45", "LSB, 2 bits": "lsb:2"}
    specs |= {"classic": "classic", "linear hiding": "linear"}
    monkeypatch.setattr(zoo, "scored", lambda: [specs[name] for name in names])
    monkeypatch.setattr(scores, "BATCH", 2)
    monkeypatch.chdir(tmp_path)
    for split, images in zip(("train", "val"), pairs, strict=True):
        (tmp_path / "data" / split).mkdir(parents=True)
        for i, image in enumerate(images):
            write_photo(image, tmp_path / "data" / split / f"{i}.png")
    command = ["evaluate", "--data", "data", "--pairs", "4", "--csv"]
    for name, *more in (["here"], ["there", "--cluster", cluster.address]):
        assert main([*command, f"{name}.csv", *more]) == 0
    here, there = (pd.read_csv(f"{name}.csv") for name in ("here", "there"))
    assert here["model"].tolist() == [name for name in names for _ in range(4)]
    assert here["pair"].tolist() == [0, 1, 2, 3] * 2
    pd.testing.assert_frame_equal(here, there)
