"""Plots of numbers. Functions draw and return a matplotlib figure."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import ticker

GREY_LEVELS = "error, grey levels"
HIGHEST_SSIM = 0.99999  # what a plot shows of better ones
LINE_COLOURS = ("C0", "C1", "C2", "C3", "C4", "C9", "C5")  # of `use_style`, but for pale ones
SSIM_TICKS = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, HIGHEST_SSIM]


def colour_histograms(images):
    """Share of samples at each grey level, for red, green and blue of uint8 [n, h, w, 3]."""
    figure, axis = plt.subplots(figsize=(7, 3))
    for i, colour in enumerate(("red", "green", "blue")):
        counts = np.bincount(np.asarray(images[..., i]).ravel(), minlength=256)
        axis.plot(counts / counts.sum() * 100, color=colour, label=colour)
    axis.set(xlabel="grey level", ylabel="% of samples", xlim=(0, 255), ylim=(0, None))
    axis.legend()
    return figure


def component_energy(powers: dict):
    """Share of the energy that is missing without all but the first components of a block.

    Args:
        powers: from a label to the mean square coefficient of each component, strongest first.
    """
    figure, axis = plt.subplots(figsize=(7, 3.2))
    for label, power in powers.items():
        missing = 1 - np.cumsum(power) / power.sum()
        kept = np.arange(1, len(power)) / len(power) * 100
        axis.semilogy(kept, missing[:-1], label=label)
    axis.set(xlabel="% of the components kept", ylabel="energy missing", xlim=(0, 100))
    axis.legend()
    return figure


def learning_rates(schedules: dict, updates: int):
    """Learning rate against update, for Keras schedules by label, up to so many updates."""
    figure, axis = plt.subplots(figsize=(7, 2.8))
    at = np.linspace(0, updates, 200).astype(int)
    for label, schedule in schedules.items():
        axis.plot(at, [float(schedule(update)) for update in at], label=label)
    axis.set(xlabel="update", ylabel="learning rate", xlim=(0, updates), ylim=(0, None))
    axis.legend()
    return figure


def learning_curves(history: pd.DataFrame):
    """Full loss, MSEs and PSNRs of cover and secret, and learning rate, by epoch.

    Args:
        history: of `training.run.load_history`.
    """
    figure, axes = plt.subplots(1, 4, figsize=(13, 3))
    epochs = history["epoch"] + 1
    panels = {
        "full loss": {"loss": "training", "val_loss": "held out"},
        "MSE, held out": {"val_reveal_mse": "secret (reveal loss)", "val_cover_mse": "cover"},
        "PSNR, held out, dB": {"val_secret_psnr": "secret", "val_cover_psnr": "cover"},
        "learning rate": {"learning_rate": None},
    }
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for column, label in lines.items():
            axis.plot(epochs, history[column], marker=".", label=label)
        axis.set(title=title, xlabel="epoch")
        if len(lines) > 1:
            axis.legend(fontsize=8)
    return figure


def compare_runs(histories: dict):
    """PSNR of cover and secret on held-out images by epoch.

    Args:
        histories: from a run's label to its history, of `training.run.load_history`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9, 3))
    for axis, kind in zip(axes, ("cover", "secret"), strict=True):
        for label, history in histories.items():
            axis.plot(history["epoch"] + 1, history[f"val_{kind}_psnr"], marker=".", label=label)
        axis.set(title=f"{kind}, PSNR in dB", xlabel="epoch")
    axes[0].legend()
    return figure


def error_histograms(covers, secrets, results: dict, limit: int = 25):
    """Histograms of the pixel errors of cover and secret.

    Args:
        covers, secrets: uint8 [n, h, w, 3].
        results: from a model's name to its stego and its revealed images.
        limit: the axis goes from −limit to limit; what lies beyond counts at its ends.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True)
    for axis, kind, wanted, i in ((axes[0], "cover", covers, 0), (axes[1], "secret", secrets, 1)):
        for name, images in results.items():
            errors = np.clip(images[i].astype(np.int16) - wanted, -limit, limit)
            counts = np.bincount((errors + limit).ravel(), minlength=2 * limit + 1)
            axis.step(
                np.arange(-limit, limit + 1), counts / errors.size * 100, where="mid", label=name
            )
        axis.set(title=f"pixel errors of the {kind}", xlabel=GREY_LEVELS, yscale="log")
    axes[0].set_ylabel("% of samples")
    axes[1].legend(fontsize=8)
    return figure


def score_bars(summary: pd.DataFrame):
    """PSNR and SSIM of cover and secret, a bar for each row of `scores.summarise`."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.4 * len(summary) + 1.5), sharey=True)
    for axis, metric, unit in ((axes[0], "psnr", "PSNR, dB"), (axes[1], "ssim", "SSIM")):
        table = summary[[f"cover_{metric}", f"secret_{metric}"]]
        table = table.set_axis(["cover", "secret"], axis="columns").iloc[::-1]
        table.plot.barh(ax=axis, legend=metric == "psnr")
        axis.set(xlabel=unit, ylabel="")
    return figure


def trade_off(summary: pd.DataFrame, peers: pd.DataFrame | None = None):
    """PSNR and SSIM of the secret against those of the cover: up and right is better.

    Models whose names differ only after the last comma are joined by a line; others are black.
    What follows the comma stands beside the point. A base stands above the panel, for it changes
    every cover alike.

    Args:
        summary: of `scores.summarise`.
        peers: of `scores.peers`, drawn in grey.
    """
    families = {}
    for row, name in enumerate(summary.index):
        family, _, setting = name.rpartition(", ")
        families.setdefault(family or name, {})[row] = setting if family else ""
    figure, axes = plt.subplots(1, 2, figsize=(14, 5.5))
    for axis, metric, unit in zip(axes, ("psnr", "ssim"), ("PSNR, dB", "SSIM"), strict=True):
        columns = [f"cover_{metric}", f"secret_{metric}"]
        points = summary[columns].to_numpy()
        if metric == "ssim":
            points = np.clip(points, 0.1, HIGHEST_SSIM)
            _spread_ssim(axis)
        looks = itertools.cycle(zip(LINE_COLOURS, "osD^vPh", strict=True))
        markers = itertools.cycle("*Xp<>H")
        for family, settings in families.items():
            colour, marker = next(looks) if len(settings) > 1 else ("black", next(markers))
            look = {"color": colour, "marker": marker, "markersize": 7, "zorder": 3}
            line = "-" if len(settings) > 1 else ""
            axis.plot(*points[[*settings]].T, label=family, linestyle=line, **look)
        for i, (name, peer) in enumerate(() if peers is None else peers.iterrows()):
            look = {"color": "grey", "marker": "x+12"[i % 4], "markersize": 9, "mew": 1.5}
            axis.plot(*[[peer[column]] for column in columns], label=name, linestyle="", **look)
        _label_settings(axis, points, families)
        axis.set(xlabel=f"cover {unit}", ylabel=f"secret {unit}")
        axis.margins(x=0.1)
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=9, frameon=False)
    return figure


def _label_settings(axis, points, families):
    bases = {}
    for settings in families.values():
        for row, setting in settings.items():
            if setting.startswith("base "):
                bases[setting.removeprefix("base ")] = points[row, 0]
            elif setting:
                place = {"xytext": (7, 3), "textcoords": "offset points"}
                axis.annotate(setting, points[row], fontsize=8, **place)
    for base, x in bases.items():
        axis.axvline(x, color="grey", linewidth=0.8, linestyle=":")
        place = {"xytext": (0, 3), "textcoords": "offset points", "ha": "center"}
        axis.annotate(base, (x, 1), xycoords=("data", "axes fraction"), fontsize=8, **place)
    if bases:
        axis.set_title("base of the residues", fontsize=9, pad=16)


def _spread_ssim(axis):
    """Logit scales: from 0.9 to 0.99 is as far as from 0.99 to 0.999."""
    axis.set(xscale="logit", yscale="logit")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(ticker.FixedLocator(SSIM_TICKS))
        one.set_minor_locator(ticker.NullLocator())
        one.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))


def score_distributions(scores: pd.DataFrame):
    """How PSNRs of cover and secret are spread over pairs, for each model of `scores.evaluate`."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.4), sharey=True)
    for axis, kind in zip(axes, ("cover", "secret"), strict=True):
        sns.violinplot(
            scores, x=f"{kind}_psnr", y="model", hue="model", cut=0, inner="quart", ax=axis
        )
        axis.set(xlabel=f"{kind} PSNR, dB", ylabel="")
    return figure


def error_against(table: pd.DataFrame, traits: list[str], error: str):
    """Scatter plots of an error against what is known of the images, with rank correlations.

    Args:
        table: one row for each pair.
        traits: columns to plot against.
        error: the column on the vertical axes.
    """
    figure, axes = plt.subplots(
        1, len(traits), figsize=(3.2 * len(traits), 3.2), sharey=True, squeeze=False
    )
    for axis, trait in zip(axes[0], traits, strict=True):
        axis.scatter(table[trait], table[error], s=12, alpha=0.6)
        correlation = table[trait].corr(table[error], method="spearman")
        axis.set(xlabel=trait.replace("_", " "), title=f"rank correlation {correlation:.2f}")
    axes[0, 0].set_ylabel(error.replace("_", " "))
    return figure


def error_maps(maps: dict):
    """Mean absolute errors [h, w] as heat maps on one colour scale, titled by their keys."""
    figure, axes = plt.subplots(1, len(maps), figsize=(4 * len(maps), 3.4), squeeze=False)
    top = max(values.max() for values in maps.values())
    for axis, (title, values) in zip(axes[0], maps.items(), strict=True):
        sns.heatmap(
            values, ax=axis, vmin=0, vmax=top, square=True, xticklabels=False, yticklabels=False
        )
        axis.set_title(f"{title}, {GREY_LEVELS}", fontsize=10)
    return figure


def curves(lines: dict, xlabel: str, ylabel: str, log: bool = False):
    """Lines or points in one panel.

    Args:
        lines: from a label to (x, y) or (x, y, matplotlib's format, such as "o").
        xlabel, ylabel: of the axes.
        log: whether the vertical axis is logarithmic.
    """
    figure, axis = plt.subplots(figsize=(7, 3.6))
    for label, line in lines.items():
        axis.plot(*line, label=label)
    axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    axis.legend(fontsize=9)
    return figure


def bars(table: pd.DataFrame, xlabel: str, ylabel: str):
    """A group of bars for each row of `table`, a colour for each column."""
    axis = table.plot.bar(figsize=(7, 3), rot=0)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    return axis.figure


def loss_panels(losses: dict, window: int = 20):
    """Losses of single updates in grey, and their means over the last `window` updates.

    Args:
        losses: from a title to the loss of each update.
        window: of the means.
    """
    figure, axes = plt.subplots(1, len(losses), figsize=(4.5 * len(losses), 3), squeeze=False)
    for axis, (title, values) in zip(axes[0], losses.items(), strict=True):
        values = pd.Series(values)
        axis.plot(values, color="lightgrey")
        axis.plot(values.rolling(window, min_periods=1).mean())
        axis.set(title=title, xlabel="update")
    return figure


def quality_over_minutes(learned: pd.DataFrame):
    """PSNR of cover and secret against minutes of training: `race.learning_curves`."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, part in zip(axes, ("cover", "secret"), strict=True):
        for i, (model, rows) in enumerate(learned.groupby("model", sort=False)):
            look = {"color": LINE_COLOURS[i], "marker": "osD"[i % 3]}
            axis.plot(rows["minutes"], rows[f"{part}_psnr"], label=model, **look)
        axis.set(title=part, xlabel="minutes of training", ylabel="PSNR, dB", xlim=(0, None))
    axes[1].legend(loc="center right")
    return figure
