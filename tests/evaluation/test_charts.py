import numpy as np
import pandas as pd
import pytest

from steglib.evaluation import charts


def test_colour_histograms(lines):
    images = np.zeros((2, 4, 5, 3), np.uint8)
    images[0, :, :, 1] = 200
    (axis,) = charts.colour_histograms(images).axes
    drawn = lines(axis)
    assert list(drawn) == ["red", "green", "blue"]
    assert drawn["red"][0] == [0, 100] and drawn["green"][200] == [200, 50]


def test_component_energy(lines):
    (axis,) = charts.component_energy({"a": np.array([6.0, 3, 1]), "b": np.array([1.0, 1])}).axes
    assert lines(axis)["a"] == pytest.approx(np.array([[100 / 3, 0.4], [200 / 3, 0.1]]))
    assert lines(axis)["b"] == [[50, 0.5]] and axis.get_yscale() == "log"


def test_learning_rates(lines):
    (axis,) = charts.learning_rates({"falling": lambda update: 1 - update / 400}, 400).axes
    points = lines(axis)["falling"]
    assert points[0] == [0, 1] and points[-1] == [400, 0] and axis.get_xlabel() == "update"


HISTORY = pd.DataFrame(
    {
        "epoch": [0, 1],
        **{"loss": [9, 8], "val_loss": [7, 6], "learning_rate": [0.1, 0.2]},
        **{"val_reveal_mse": [5, 4], "val_cover_mse": [3, 2]},
        **{"val_secret_psnr": [30, 31], "val_cover_psnr": [40, 41]},
    }
)


def test_compare_runs(lines):
    cover, secret = charts.compare_runs({"a": HISTORY, "b": HISTORY + 1}).axes
    assert lines(cover) == {"a": [[1, 40], [2, 41]], "b": [[2, 41], [3, 42]]}
    assert lines(secret)["a"] == [[1, 30], [2, 31]]
    for axis, part in ((cover, "cover"), (secret, "secret")):
        assert {line.get_color() for line in axis.lines} == {charts.COLOURS[part]}
        assert len({line.get_linestyle() for line in axis.lines}) == 2


def test_one_colour_for_one_thing():
    assert len(set(charts.COLOURS.values())) == len(charts.COLOURS)
    assert not set(charts.COLOURS.values()) & set(charts.OTHER_COLOURS)
    for label, thing in (
        ("LSB, 4 bits", "LSB"),
        ("JPEG, base 2", "JPEG"),
        ("JPEG 2000, base 2", "JPEG 2000"),
        ("linear hiding", "linear"),
    ):
        assert charts.colour_of(label) == charts.COLOURS[thing]
    assert charts.colour_of("residues") is None and charts.colour_of("covers") is None
    colours = charts.colours_of(["mine", "plain", "theirs"])
    assert colours["plain"] == charts.COLOURS["plain"]
    assert [colours["mine"], colours["theirs"]] == [*charts.OTHER_COLOURS[:2]]


def test_axes_have_units():
    assert charts.with_unit("cover_psnr") == "cover PSNR, dB"
    assert charts.with_unit("secret_ssim") == "secret SSIM"
    assert charts.with_unit("cover_saturation") == "cover saturation, share of samples"
    assert charts.with_unit("secret_rmse") == "secret RMSE, grey levels"


def test_error_histograms(lines):
    wanted = np.full((1, 10, 10, 3), 100, np.uint8)
    brighter, far = wanted + np.uint8(2), wanted * 0
    figure = charts.error_histograms(wanted, wanted, {"a": (brighter, far)}, limit=9)
    cover, secret = (dict(lines(axis)["a"]) for axis in figure.axes)
    assert cover[2] == 100 and sum(cover.values()) == 100
    assert secret[-9] == 100 and sorted(secret) == [*range(-9, 10)]


def test_score_distributions():
    scores = pd.DataFrame({"model": ["a"] * 9 + ["b"] * 9, "cover_psnr": range(18)})
    scores["secret_psnr"] = 30 + scores["cover_psnr"]
    cover, secret = charts.score_distributions(scores).axes
    assert [label.get_text() for label in cover.get_yticklabels()] == ["a", "b"]
    for axis, begin in ((cover, 0), (secret, 30)):
        spans = [np.ptp(body.get_paths()[0].vertices[:, 0]) for body in axis.collections]
        assert spans == pytest.approx([8, 8])
        assert axis.collections[0].get_paths()[0].vertices[:, 0].min() == pytest.approx(begin)


def test_error_against():
    table = pd.DataFrame({"texture": [1, 2, 3, 4], "contrast": [4, 9, 2, 1]})
    table["secret_rmse"] = [1, 4, 9, 16]
    texture, contrast = charts.error_against(table, ["texture", "contrast"], "secret_rmse").axes
    assert texture.collections[0].get_offsets().tolist() == [[1, 1], [2, 4], [3, 9], [4, 16]]
    assert (
        texture.get_title() == "rank correlation 1.00"
        and texture.get_xlabel() == "texture, grey levels"
    )
    assert contrast.get_title() == "rank correlation -0.80"
    assert texture.get_ylabel() == "secret RMSE, grey levels"


def test_error_maps_share_their_colours():
    maps = {"cover": np.eye(3), "secret": np.full((3, 3), 5.0)}
    cover, secret, *_ = charts.error_maps(maps).axes
    assert np.array_equal(cover.images[0].get_array(), np.eye(3))
    assert cover.images[0].get_clim() == secret.images[0].get_clim() == (0, 5)
    assert cover.get_title() == "cover"


def test_heat_map():
    table = pd.DataFrame({"png": [40.2, 51], "jpeg": [11.8, 13]}, index=["plain", "residue"])
    axis, scale = charts.heat_map(table, "secret PSNR, dB", lost=table < 12).axes
    assert [text.get_text() for text in axis.texts] == ["40", "–", "51", "13"]
    assert axis.collections[0].get_array().ravel().tolist() == [40.2, 11.8, 51, 13]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["plain", "residue"]
    assert scale.get_ylabel() == "secret PSNR, dB"


def test_curves_and_bars(lines):
    (axis,) = charts.curves({"a": ([1, 2], [3, 4]), "b": ([1], [5], "o")}, "x", "y", log=True).axes
    assert lines(axis) == {"a": [[1, 3], [2, 4]], "b": [[1, 5]]} and axis.get_yscale() == "log"
    (axis,) = charts.bars(pd.DataFrame({"p": [1, 2], "q": [3, 4]}), "x", "y").axes
    assert [[bar.get_height() for bar in group] for group in axis.containers] == [[1, 2], [3, 4]]


def test_loss_panels():
    (axis,) = charts.loss_panels({"loss": [4, 2, 6, 0]}, window=2).axes
    raw, mean = (line.get_ydata().tolist() for line in axis.lines)
    assert raw == [4, 2, 6, 0] and mean == [4, 3, 4, 3] and axis.get_title() == "loss"


def test_quality_over_minutes(lines):
    learned = pd.DataFrame({"model": ["a", "a", "b"], "minutes": [1, 2, 1]})
    learned = learned.assign(cover_psnr=[30, 31, 20], secret_psnr=[25, 26, 15])
    cover, secret = charts.quality_over_minutes(learned).axes
    assert lines(cover) == {"a": [[1, 30], [2, 31]], "b": [[1, 20]]}
    assert lines(secret)["b"] == [[1, 15]]
