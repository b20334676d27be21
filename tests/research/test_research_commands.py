import re
from dataclasses import fields

import pandas as pd
import pytest

from steglib.__main__ import main
from steglib.codec.learning import CodecRecipe
from steglib.models.classic import ClassicConfig, ClassicRecipe
from steglib.training.run import load_config


def test_evaluate_prints_the_table(home, tmp_path, capsys):
    scores = tmp_path / "scores.csv"
    assert main(["evaluate", "classic", "--pairs", "4", "--csv", str(scores)]) == 0
    printed = capsys.readouterr().out
    table = pd.read_csv(scores)
    assert table["model"].unique().tolist()[:2] == ["classic", "linear hiding"]
    assert len(table) == 6 * 4
    mean = table[table["model"] == "classic"]["cover_psnr"].mean()
    assert f"{mean:.3f}" in printed and "LSB, 4 bits" in printed


OPTIONS = ["--images", "24", "--held-out", "8", "--epochs", "1", "--batch-size", "8"]
OPTIONS += ["--width", "16", "--hidden", "8", "--no-mixed-precision", "--beta", "0.5"]


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


@pytest.mark.parametrize("model, recipe", [("classic", ClassicRecipe), ("residue", CodecRecipe)])
def test_train_has_an_option_for_each_field_and_explains_it(capsys, model, recipe):
    with pytest.raises(SystemExit, match="0"):
        main(["train", model, "--help"])
    said = capsys.readouterr().out
    for field in fields(recipe.config_class):
        assert f"--{field.name.replace('_', '-')} " in said.replace(",", " ")
        assert re.search(rf"^    [\w, ]*\b{field.name}\b[\w, ]*: ", said, re.M), field.name


def test_train_knows_what_can_be_trained(capsys):
    for wrong in (["train"], ["train", "jpeg"], ["train", "classic", "--name", "x", "--bet", "x"]):
        with pytest.raises(SystemExit, match="2"):
            main(wrong)
    assert "invalid float value" in capsys.readouterr().err
