import numpy as np
import pandas as pd
import pytest

from steglib import LSB, Hider, evaluate, hide_and_reveal, summarise
from steglib.evaluation import metrics
from steglib.evaluation.scores import (
    ROUNDING_PSNR,
    image_traits,
    intervals,
    mean_with_interval,
    peers,
    score,
    summarise_damage,
    through_png,
    with_intervals,
)


def test_scores_come_from_the_file(pairs):
    """A hider that keeps secrets in memory, not in the image, reveals nothing."""

    class Cheat(Hider):
        name = "cheat"

        def _hide(self, covers, secrets):
            self.kept = covers.copy(), secrets
            return self.kept[0]

        def _reveal(self, stegos):
            return self.kept[1] if np.shares_memory(stegos, self.kept[0]) else np.zeros_like(stegos)

    covers, secrets = pairs
    stegos, revealed = hide_and_reveal(Cheat(), covers, secrets)
    assert np.array_equal(stegos, covers) and not revealed.any()


def test_png_is_lossless(pairs):
    assert np.array_equal(through_png(pairs[0]), pairs[0])


def test_evaluate_and_summarise(pairs):
    covers, secrets = pairs
    scores = evaluate([LSB(1), LSB(4)], covers, secrets, progress=False)
    assert scores["model"].tolist() == ["LSB, 1 bit"] * 8 + ["LSB, 4 bits"] * 8
    assert scores["pair"].tolist() == [*range(8)] * 2
    stegos = LSB(4).hide(covers, secrets)
    wanted = metrics.psnr(covers, stegos)
    assert scores["cover_psnr"][8:].to_numpy() == pytest.approx(wanted)

    summary = summarise(scores)
    assert summary.index.tolist() == ["LSB, 1 bit", "LSB, 4 bits"]
    row = summary.loc["LSB, 4 bits"]
    assert row["cover_psnr"] == pytest.approx(wanted.mean())
    revealed = LSB(4).reveal(stegos)
    assert row["secret_rmse"] == pytest.approx(np.sqrt(metrics.mse(secrets, revealed).mean()))


def drawn_scores(n=400):
    """Two models on n pairs with known spread; the second is the first, 3 dB better."""
    rng = np.random.default_rng(0)
    psnr, rmse = rng.normal(40, 2, n), rng.uniform(1, 3, n)
    one = pd.DataFrame({"pair": range(n), "cover_psnr": psnr, "secret_rmse": rmse})
    better = one.assign(cover_psnr=psnr + 3)
    return pd.concat([one.assign(model="one"), better.assign(model="better")], ignore_index=True)


def test_intervals_are_as_wide_as_the_normal_approximation_says():
    scores = drawn_scores()
    summary, ends = summarise(scores), intervals(scores)
    assert ends.index.tolist() == summary.index.tolist() == ["one", "better"]
    half = 1.96 * scores["cover_psnr"][:400].std() / 20
    low, high = ends.loc["one", "cover_psnr"]
    mean = summary.loc["one", "cover_psnr"]
    assert (high - low) / 2 == pytest.approx(half, rel=0.1) and low < mean < high
    low, high = ends.loc["one", "secret_rmse"]  # of the root mean square, not of the mean
    assert low < summary.loc["one", "secret_rmse"] < high
    wider = intervals(scores, level=0.99).loc["one", "cover_psnr"]
    assert wider["high"] - wider["low"] > 1.2 * (2 * half)
    both = ends["cover_psnr"].to_numpy()  # all models get the same draws
    assert both[1] - both[0] == pytest.approx([3, 3])


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        mean, half = mean_with_interval(rng.normal(0, 1, 50), digits=4).split(" ± ")
        held += abs(float(mean)) <= float(half)
    assert 0.88 < held / 200 < 0.99


def test_exact_images_have_an_interval(pairs):
    covers, secrets = pairs
    scores = score(covers, secrets, covers, secrets).assign(model="exact", pair=range(8))
    assert intervals(scores).loc["exact", "cover_psnr"].tolist() == pytest.approx(
        [58.92] * 2, abs=0.01
    )


def test_tables_with_intervals():
    table = with_intervals(drawn_scores())
    assert table.loc["one", "cover_psnr"] == "39.9 ± 0.2"
    assert table.loc["better", "cover_psnr"] == "42.9 ± 0.2"
    assert mean_with_interval([1, 1, 1], digits=2) == "1.00 ± 0.00"


def test_exact_images_count_as_exact_to_the_rounding(pairs):
    covers, secrets = pairs
    revealed = secrets.copy()
    revealed[0, 0, 0, 0] ^= 1  # the least error there is
    revealed[1] ^= 1
    scores = score(covers, secrets, covers, revealed)
    assert np.isinf(scores["cover_psnr"]).all() and np.isinf(scores["secret_psnr"][2:]).all()
    summary = summarise(scores.assign(model="exact", pair=range(8))).loc["exact"]
    assert pytest.approx(58.92, abs=0.01) == ROUNDING_PSNR
    assert summary["cover_psnr"] == pytest.approx(ROUNDING_PSNR)
    assert summary["secret_psnr"] == pytest.approx((7 * ROUNDING_PSNR + 48.13) / 8, abs=0.01)
    assert summary["cover_rmse"] == 0 and summary["secret_rmse"] > 0

    rng = np.random.default_rng(0)
    scene = rng.uniform(0, 255, (1, 256, 256, 3))
    assert metrics.psnr(scene, np.rint(scene))[0] == pytest.approx(ROUNDING_PSNR, abs=0.05)


def test_models_of_one_name_are_not_mixed_up(pairs):
    with pytest.raises(ValueError, match="different names"):
        evaluate([LSB(2), LSB(2)], *pairs)
    with pytest.raises(ValueError, match="no pairs"):
        evaluate([LSB(2)], pairs[0][:0], pairs[1][:0])


def test_more_pairs_than_are_scored_at_a_time(pairs):
    covers, secrets = (np.concatenate([images] * 13) for images in pairs)
    scores = evaluate([LSB(2)], covers, secrets, progress=False)
    assert scores["pair"].tolist() == [*range(104)]
    assert scores["secret_psnr"][:8].tolist() == scores["secret_psnr"][96:].tolist()


def test_image_traits():
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[1, :, ::2] = 200
    traits = image_traits(images)
    assert traits["saturation"].tolist() == [1, 0.5]
    assert traits["texture"].tolist() == [0, 100]
    assert traits["contrast"].tolist() == [0, 100]
    assert isinstance(traits, pd.DataFrame)


def test_peers_say_where_their_figures_come_from():
    assert set(peers()["source"]) == {"measured by us", "reported by them"}


class Detecting(LSB):
    """Finds that something is wrong with an image whose first sample is odd."""

    def _reveal(self, stegos):
        if (stegos[:, 0, 0, 0] % 2).any():
            raise ValueError("changed")
        return super()._reveal(stegos)


def test_damage_comes_between_hiding_and_revealing(pairs):
    covers, secrets = pairs[0][:4], pairs[1][:4]
    clean = evaluate([LSB(4)], covers, secrets, progress=False)
    after = {
        line: evaluate([LSB(4)], covers, secrets, progress=False, damage=line)
        for line in ("png", "one:0.5", "noise:8", "crop:5")
    }
    assert np.array_equal(after["png"][clean.columns], clean)
    means = {line: table["secret_psnr"].mean() for line, table in after.items()}
    assert means["png"] - 1 > means["one:0.5"] > means["noise:8"]
    assert abs(means["crop:5"] - means["png"]) < 1  # compared with the secret cut alike
    for table in after.values():
        assert np.array_equal(table["cover_psnr"], clean["cover_psnr"]) and not table["lost"].any()


def test_several_kinds_of_damage_happen_to_the_same_files(pairs):
    covers, secrets = pairs[0][:4], pairs[1][:4]
    lines = ["png", "noise:8", "crop:5"]
    together = evaluate([LSB(3), LSB(4)], covers, secrets, progress=False, damage=iter(lines))
    assert len(together) == 2 * 3 * 4
    for line in lines:
        alone = evaluate([LSB(3), LSB(4)], covers, secrets, progress=False, damage=line)
        same = together[together["damage"] == line].reset_index(drop=True)
        pd.testing.assert_frame_equal(same, alone)
    table = summarise_damage(together)
    assert list(table.index) == ["LSB, 3 bits", "LSB, 4 bits"] and list(table) == lines
    noisy = together.query("model == 'LSB, 4 bits' and damage == 'noise:8'")["secret_psnr"]
    assert table.loc["LSB, 4 bits", "noise:8"] == pytest.approx(noisy.mean())


def test_what_cannot_be_revealed_counts_as_grey(pairs):
    covers, secrets = pairs[0][:6].copy(), pairs[1][:6]
    covers[:, 0, 0, 0], secrets = 16, secrets.copy()
    secrets[:, 0, 0, 0] = [0, 16, 0, 16, 16, 0]
    scores = evaluate([Detecting(4)], covers, secrets, progress=False, damage="png")
    assert scores["lost"].tolist() == [False, True, False, True, True, False]
    grey = metrics.psnr(secrets, np.full_like(secrets, 128))
    lost = scores["lost"].to_numpy()
    assert np.allclose(scores["secret_psnr"][lost], grey[lost])
    assert (scores["secret_psnr"][~lost] > 25).all()
