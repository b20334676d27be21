import numpy as np
import pandas as pd
import pytest

from steglib.evaluation import comparisons


def summary(**psnrs):
    """As of `scores.summarise`, from a name to the PSNRs of cover and secret."""
    rows = {name: {"cover_psnr": c, "secret_psnr": s} for name, (c, s) in psnrs.items()}
    return pd.DataFrame(rows).T.assign(cover_ssim=0.99, secret_ssim=0.9)


def ranges(table):
    """As of `scores.intervals`: from one less to one more, of SSIM a thousandth."""
    ends = {
        (column, end): table[column] + sign * (1 if column.endswith("psnr") else 0.001)
        for column in table
        for end, sign in (("low", -1), ("high", 1))
    }
    return pd.DataFrame(ends)


def test_score_bars(lines):
    table = summary(a=(40, 30), b=(50, 20))
    psnr, ssim = comparisons.score_bars(table, ranges(table)).axes
    cover, secret = psnr.containers
    assert [bar.get_width() for bar in cover] == [40, 50]
    assert [bar.get_width() for bar in secret] == [30, 20]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in (cover[0], secret[0], cover[1])]
    assert middles == sorted(middles, reverse=True)  # as the legend and the table say
    assert [label.get_text() for label in psnr.get_yticklabels()] == ["a", "b"]
    assert psnr.lines[0].get_xdata().tolist() == [39, 41]
    assert [x for x, _ in lines(ssim)["cover"]] == [0.99, 0.99]
    assert ssim.get_xscale() == "logit"


def written(axis):
    return sorted(text.get_text() for text in axis.texts)


def test_trade_off(lines):
    table = summary(**{"alone": (45, 35), "m, base 3": (50, 30), "m, base 5": (44, 40)})
    table = pd.concat([table, summary(**{"n, base 3": (50, 31), "n, base 5": (44, 39)})])
    peers = pd.concat([summary(peer=(30, 20)), summary(none=(30, np.nan))])
    (axis,) = comparisons.trade_off(table, peers).axes
    assert lines(axis) == {
        "alone": [[45, 35]],
        "m": [[50, 30], [44, 40]],
        "n": [[50, 31], [44, 39]],
        "peer": [[30, 20]],
    }
    assert written(axis) == ["alone", "base 3", "base 5", "m", "n", "peer"]
    places = {text.get_text(): tuple(text.xy) for text in axis.texts}
    assert places["base 3"] == (50, 31) and places["base 5"] == (44, 40)  # the highest of each
    boxes = [text.get_window_extent() for text in axis.texts]
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_trade_off_of_ssim_with_intervals(lines):
    table = summary(**{"LSB, 1 bit": (50, 20), "LSB, 2 bits": (44, 26)})
    table.loc["LSB, 1 bit", "cover_ssim"] = 1.0
    (axis,) = comparisons.trade_off(table, ranges=ranges(table), metric="ssim").axes
    assert lines(axis)["LSB"] == [[comparisons.HIGHEST_SSIM, 0.9], [0.99, 0.9]]
    assert written(axis) == ["1 bit", "2 bits", "LSB"]
    across = [line for line in axis.lines if line.get_color() == "black"]
    assert across[2].get_xdata() == pytest.approx([0.989, 0.991])
    assert across[3].get_ydata() == pytest.approx([0.899, 0.901])
