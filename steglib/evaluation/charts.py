"""Plots of numbers. Functions draw and return a matplotlib figure."""

import itertools
import re
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib import ticker

_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = {  # one for each thing that appears in more than one figure
    "cover": _PALETTE[0],  # blue
    "secret": _PALETTE[1],  # orange
    "plain": _PALETTE[2],  # green
    "classic": "#c0392b",  # red
    "linear": "#8c510a",  # brown
    "LSB": _PALETTE[7],  # grey
    "robust": "#00b8c9",  # turquoise
    "residue": "#8e5ebf",  # purple
    "jpeg-proof": "#6e0f2d",  # wine
    "JPEG": _PALETTE[9],  # sky blue
    "WebP": "#a39a00",  # olive
    "AVIF": "#f06fb5",  # pink
    "JPEG 2000": "#1b2f6b",  # navy
}
OTHER_COLOURS = ("#222222", "#17a2a2", "#b5179e", "#7cb518", "#8d99ae")  # of all else, in turn
GREY_LEVELS = "error, grey levels"
NAMES = {"psnr": "PSNR", "ssim": "SSIM", "rmse": "RMSE", "mae": "mean absolute error"}
UNITS = {"psnr": "dB", "saturation": "share of samples", "ssim": ""}  # of others: grey levels


def colour_of(label: str) -> str | None:
    """The colour in `COLOURS` of what a label begins with ("LSB, 4 bits"), or None."""
    known = [thing for thing in COLOURS if re.match(rf"{thing}\b", label)]
    return COLOURS[max(known, key=len)] if known else None


def colours_of(labels) -> dict[str, str]:
    """A colour for each label: `colour_of`, or else the next of `OTHER_COLOURS`."""
    others = itertools.cycle(OTHER_COLOURS)
    return {label: colour_of(label) or next(others) for label in labels}


def with_unit(column: str) -> str:
    """What an axis says of a column of `scores` or of image traits: "cover PSNR, dB"."""
    part, _, quantity = column.rpartition("_")
    unit = UNITS.get(quantity, "grey levels")
    return f"{part} {NAMES.get(quantity, quantity)}".strip() + f", {unit}" * bool(unit)


def _legend_above(axis, columns: int = 4):
    """Above the panel, where it hides no data."""
    axis.legend(
        loc="lower center", bbox_to_anchor=(0.5, 1), ncols=columns, frameon=False, borderaxespad=0.2
    )


def colour_histograms(images):
    """Share of samples at each grey level, for red, green and blue of uint8 [n, h, w, 3]."""
    figure, axis = plt.subplots(figsize=(7, 3))
    for i, colour in enumerate(("red", "green", "blue")):
        counts = np.bincount(np.asarray(images[..., i]).ravel(), minlength=256)
        axis.plot(counts / counts.sum() * 100, color=colour, label=colour)
    axis.set(xlabel="grey level", ylabel="% of samples", xlim=(0, 255), ylim=(0, None))
    _legend_above(axis)
    return figure


def component_energy(powers: dict):
    """Share of the energy that is missing without all but the first components of a block.

    Args:
        powers: from a label to the mean square coefficient of each component, strongest first.
    """
    figure, axis = plt.subplots(figsize=(7, 3.2))
    colours = colours_of(powers)
    for label, power in powers.items():
        missing = 1 - np.cumsum(power) / power.sum()
        kept = np.arange(1, len(power)) / len(power) * 100
        axis.semilogy(kept, missing[:-1], label=label, color=colours[label])
    axis.set(xlabel="% of the components kept", ylabel="share of energy missing", xlim=(0, 100))
    _legend_above(axis)
    return figure


def learning_rates(schedules: dict, updates: int):
    """Learning rate against update, for Keras schedules by label, up to so many updates."""
    figure, axis = plt.subplots(figsize=(7, 2.8))
    at, colours = np.linspace(0, updates, 200).astype(int), colours_of(schedules)
    for label, schedule in schedules.items():
        rates = [float(schedule(update)) for update in at]
        axis.plot(at, rates, label=label, color=colours[label])
    axis.set(xlabel="update", ylabel="learning rate", xlim=(0, updates), ylim=(0, None))
    _legend_above(axis)
    return figure


def compare_runs(histories: dict):
    """PSNR of cover and secret on held-out images by epoch: a colour a part, a dash a run.

    Args:
        histories: from a run's label to its history, of `training.run.load_history`.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 3.8))
    for axis, part in zip(axes, ("cover", "secret"), strict=True):
        dashes = itertools.cycle(("-", "--", ":", "-."))
        for (label, history), dash in zip(histories.items(), dashes, strict=False):
            look = {"color": COLOURS[part], "linestyle": dash, "marker": "."}
            axis.plot(history["epoch"] + 1, history[f"val_{part}_psnr"], label=label, **look)
        axis.set(ylabel=f"{part} PSNR, held out, dB", xlabel="epoch")
        axis.xaxis.set_major_locator(ticker.MaxNLocator(integer=True))
        _legend_above(axis, columns=2)
    return figure


def error_histograms(covers, secrets, results: dict, limit: int = 25):
    """Histograms of the pixel errors of cover and secret.

    Args:
        covers, secrets: uint8 [n, h, w, 3].
        results: from a model's name to its stego and its revealed images.
        limit: the axis goes from −limit to limit; what lies beyond counts at its ends.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    colours = colours_of(results)
    for axis, kind, wanted, i in ((axes[0], "cover", covers, 0), (axes[1], "secret", secrets, 1)):
        for name, images in results.items():
            errors = np.clip(images[i].astype(np.int16) - wanted, -limit, limit)
            counts = np.bincount((errors + limit).ravel(), minlength=2 * limit + 1)
            shares = counts / errors.size * 100
            look = {"where": "mid", "color": colours[name], "linewidth": 2}
            axis.step(np.arange(-limit, limit + 1), shares, label=name, **look)
        axis.set(title=f"the {kind}", xlabel=GREY_LEVELS, yscale="log")
    axes[0].set_ylabel("% of samples (log scale)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def score_distributions(scores: pd.DataFrame):
    """How PSNRs of cover and secret are spread over pairs, for each model of `scores.evaluate`."""
    names = scores["model"].unique()
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.6 * len(names) + 1.2), sharey=True)
    look = {"y": "model", "hue": "model", "palette": colours_of(names), "cut": 0, "inner": "quart"}
    for axis, part in zip(axes, ("cover", "secret"), strict=True):
        sns.violinplot(scores, x=f"{part}_psnr", ax=axis, **look)
        axis.set(xlabel=f"{part} PSNR, dB", ylabel="")
    return figure


def error_against(table: pd.DataFrame, traits: list[str], error: str):
    """Scatter plots of an error against what is known of the images, with rank correlations.

    Args:
        table: one row for each pair.
        traits: columns to plot against.
        error: the column on the vertical axes, in the colour of the part that it begins with.
    """
    figure, axes = plt.subplots(
        1, len(traits), figsize=(3.2 * len(traits), 3.4), sharey=True, squeeze=False
    )
    colour = COLOURS.get(error.partition("_")[0])
    for axis, trait in zip(axes[0], traits, strict=True):
        axis.scatter(table[trait], table[error], s=12, alpha=0.6, color=colour)
        correlation = table[trait].corr(table[error], method="spearman")
        axis.set(xlabel=textwrap.fill(with_unit(trait), 24))
        axis.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axis.set_title(f"rank correlation {correlation:.2f}", fontsize=12)
    axes[0, 0].set_ylabel(with_unit(error))
    return figure


def error_maps(maps: dict):
    """Mean absolute errors [h, w] as heat maps on one colour scale, titled by their keys."""
    figure, axes = plt.subplots(1, len(maps), figsize=(3.6 * len(maps), 3.4), squeeze=False)
    top = max(values.max() for values in maps.values())
    for axis, (title, values) in zip(axes[0], maps.items(), strict=True):
        picture = axis.imshow(values, vmin=0, vmax=top, cmap="rocket", interpolation="nearest")
        axis.set_title(title)
        axis.axis("off")
    figure.colorbar(picture, ax=axes[0, -1], fraction=0.046, label=GREY_LEVELS)
    return figure


def heat_map(table: pd.DataFrame, label: str, lost: pd.DataFrame | None = None):
    """A coloured cell with its number for each entry of `table`.

    Args:
        table: of numbers; its index and columns name the rows and columns.
        label: of the colour scale.
        lost: where this is true, the cell says "–" instead.
    """
    said = table.map("{:.0f}".format)
    if lost is not None:
        said = said.mask(lost, "–")
    figure, axis = plt.subplots(figsize=(0.7 * table.shape[1] + 4, 0.5 * len(table) + 2))
    colours = {"cmap": "viridis", "cbar_kws": {"label": label}}
    sns.heatmap(table, annot=said, fmt="", annot_kws={"size": 11}, linewidths=1, ax=axis, **colours)
    axis.set(xlabel="", ylabel="")
    axis.tick_params(axis="x", rotation=40)
    plt.setp(axis.get_xticklabels(), ha="right", rotation_mode="anchor")
    return figure


def curves(lines: dict, xlabel: str, ylabel: str, log: bool = False):
    """Lines or points in one panel; a label that begins with a thing in `COLOURS` has its colour.

    Args:
        lines: from a label to (x, y) or (x, y, matplotlib's format, such as "o").
        xlabel, ylabel: of the axes.
        log: whether the vertical axis is logarithmic.
    """
    figure, axis = plt.subplots(figsize=(8, 4.2))
    colours = colours_of(lines)
    for label, line in lines.items():
        axis.plot(*line, label=label, color=colours[label])
    axis.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    _legend_above(axis, columns=3)
    return figure


def bars(table: pd.DataFrame, xlabel: str, ylabel: str):
    """A group of bars for each row of `table`, a colour for each column."""
    axis = table.plot.bar(figsize=(8, 3.6), rot=0, color=colours_of(table.columns))
    axis.set(xlabel=xlabel, ylabel=ylabel)
    _legend_above(axis)
    return axis.figure


def loss_panels(losses: dict, window: int = 20):
    """Losses of single updates in grey, and their means over the last `window` updates.

    Args:
        losses: from a title to the loss of each update.
        window: of the means.
    """
    figure, axes = plt.subplots(1, len(losses), figsize=(4.5 * len(losses), 3.2), squeeze=False)
    for axis, (title, values) in zip(axes[0], losses.items(), strict=True):
        values = pd.Series(values)
        axis.plot(values, color="lightgrey")
        axis.plot(values.rolling(window, min_periods=1).mean(), color="black")
        axis.set(title=title, xlabel="update")
    return figure


def cover_and_secret(table: pd.DataFrame):
    """PSNR of the secret against that of the cover, a point for each row of a table.

    Args:
        table: with "cover PSNR" and "secret PSNR"; the index says what a point is.
    """
    figure, axis = plt.subplots(figsize=(8, 4.2))
    axis.plot(table["cover PSNR"], table["secret PSNR"], "o-", color=COLOURS["secret"])
    for label, row in table.iterrows():
        place = row["cover PSNR"], row["secret PSNR"]
        axis.annotate(str(label), place, (6, 6), textcoords="offset points", fontsize=11)
    axis.set(xlabel="cover PSNR, dB", ylabel="secret PSNR, dB", title=table.index.name)
    axis.margins(0.1)
    return figure


def quality_over_minutes(learned: pd.DataFrame):
    """PSNR of cover and secret against minutes of training: `race.learning_curves`."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    colours = colours_of(learned["model"].unique())
    for axis, part in zip(axes, ("cover", "secret"), strict=True):
        for i, (model, rows) in enumerate(learned.groupby("model", sort=False)):
            look = {"color": colours[model], "marker": "osD"[i % 3]}
            axis.plot(rows["minutes"], rows[f"{part}_psnr"], label=model, **look)
        axis.set(title=part, xlabel="minutes of training", ylabel="PSNR, dB", xlim=(0, None))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure
