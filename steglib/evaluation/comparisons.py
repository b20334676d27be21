"""How hiders compare: their scores as bars, and cover against secret."""

import itertools
import re
import textwrap

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib import ticker

from steglib.evaluation.charts import COLOURS, NAMES, colours_of

HIGHEST_SSIM = 0.99999  # what a plot shows of better ones
SSIM_TICKS = [0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999, HIGHEST_SSIM]


def score_bars(summary: pd.DataFrame, ranges: pd.DataFrame | None = None):
    """PSNR as bars and SSIM as points, cover above secret, for each row of `scores.summarise`.

    Args:
        summary: of `scores.summarise`.
        ranges: of `scores.intervals`, drawn as thin lines.
    """
    figure, axes = plt.subplots(1, 2, figsize=(11, 0.5 * len(summary) + 1.6), sharey=True)
    rows = np.arange(len(summary))[::-1]
    for axis, metric in zip(axes, ("psnr", "ssim"), strict=True):
        for part, aside in (("cover", 0.19), ("secret", -0.19)):
            column = f"{part}_{metric}"
            means, look = summary[column].to_numpy(), {"color": COLOURS[part], "label": part}
            if metric == "psnr":
                axis.barh(rows + aside, means, height=0.36, **look)
            else:
                axis.plot(_shown(means, metric), rows + aside, "o", **look)
            if ranges is not None:
                ends = _shown(ranges.loc[summary.index, column].to_numpy(), metric)
                axis.plot(ends.T, [rows + aside] * 2, color="black", linewidth=1.5)
        axis.set(xlabel=NAMES[metric] + ", dB" * (metric == "psnr"))
    axes[0].set_yticks(rows, summary.index)
    _spread_ssim(axes[1], "x", SSIM_TICKS[::2])
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2, frameon=False)
    return figure


def trade_off(
    summary: pd.DataFrame,
    peers: pd.DataFrame | None = None,
    ranges: pd.DataFrame | None = None,
    metric: str = "psnr",
):
    """PSNR (or SSIM) of the secret against that of the cover: up and right is better.

    Models whose names differ only after the last comma are joined by a line. What follows the
    comma stands beside its point; a base or a rate only at the highest point, as all of one base
    or rate have nearly the same cover.

    Args:
        summary: of `scores.summarise`.
        peers: of `scores.peers`, drawn as crosses.
        ranges: of `scores.intervals`, drawn as thin lines.
        metric: "psnr" or "ssim".
    """
    columns = [f"cover_{metric}", f"secret_{metric}"]
    points = _shown(summary[columns].to_numpy(), metric)
    families = {}
    for row, name in enumerate(summary.index):
        family, _, setting = name.rpartition(", ")
        families.setdefault(family or name, {})[row] = setting if family else ""
    figure, axis = plt.subplots(figsize=(10, 6.2))
    if metric == "ssim":
        _spread_ssim(axis, "xy", SSIM_TICKS)
    markers, colours, labels = itertools.cycle("osD^vPh"), colours_of(families), []
    for family, settings in families.items():
        own, colour = points[[*settings]], colours[family]
        look = {"marker": next(markers), "markersize": 7, "zorder": 3, "color": colour}
        axis.plot(*own.T, label=family, linestyle="-" if len(own) > 1 else "", **look)
        order = own[:, 0].argsort()
        labels.append((own[order[[-1, 0]]], family, colour))
    if ranges is not None:
        ends = _shown(ranges.loc[summary.index, columns].to_numpy(), metric).reshape(-1, 2, 2)
        for (x, y), (across, along) in zip(points, ends, strict=True):
            axis.plot(across, [y, y], [x, x], along, color="black", linewidth=1, zorder=4)
    for i, (name, peer) in enumerate(() if peers is None else peers.iterrows()):
        place, colour = [peer[column] for column in columns], "dimgrey"
        if not np.isnan(place).any():
            look = {"color": colour, "marker": "x+12"[i % 4], "markersize": 9, "mew": 1.5}
            axis.plot(*[[x] for x in place], label=name, linestyle="", **look)
            labels.append(([place], textwrap.fill(name, 24), colour))
    labels += _settings(points, families, colours)
    unit = NAMES[metric] + ", dB" * (metric == "psnr")
    axis.set(xlabel=f"cover {unit}", ylabel=f"secret {unit}")
    axis.margins(x=0.15, y=0.08)
    _label(axis, labels)
    return figure


def _settings(points, families, colours):
    """([point], text, colour) of each setting; of each base or rate only at its highest point."""
    shared = {}
    for family, settings in families.items():
        for row, setting in settings.items():
            if re.match(r"base |.* bits? a sample$", setting):
                kept = shared.get(setting)
                if kept is None or points[row, 1] > kept[0][0][1]:
                    shared[setting] = ([points[row]], setting, colours[family])
            elif setting:
                yield [points[row]], setting, colours[family]
    yield from shared.values()


def _label(axis, labels):
    """Writes each label beside one of its points, off all lines and other labels."""
    figure = axis.figure
    figure.canvas.draw()  # fixes the layout
    taken = []
    for line in axis.lines:
        corners = line.get_transform().transform(np.transpose(line.get_data()))
        at = np.linspace(0, len(corners) - 1, 20 * len(corners))
        for x, y in zip(*[np.interp(at, range(len(corners)), c) for c in corners.T], strict=True):
            taken.append((x - 3, y - 3, x + 3, y + 3))
    frame = axis.get_window_extent()
    ways = [(9, 0), (7, 10), (7, -10), (-9, 0), (-7, 10), (-7, -10), (0, 13), (0, -13)]
    for places, text, colour in labels:
        for far, point, (x, y) in itertools.product((1, 1.8, 2.8), places, ways):
            note = axis.annotate(
                text,
                point,
                (x * far, y * far),
                textcoords="offset points",
                ha="left" if x > 0 else "right" if x else "center",
                va="center",
                color=colour,
                fontsize=11,
            )
            box = note.get_window_extent()
            inside = (
                frame.x0 < box.x0 and box.x1 < frame.x1 and frame.y0 < box.y0 < box.y1 < frame.y1
            )
            if inside and not any(
                box.x0 < right and left < box.x1 and box.y0 < top and bottom < box.y1
                for left, bottom, right, top in taken
            ):
                break
            note.remove()
        else:
            note = axis.annotate(
                text, places[0], (9, 0), textcoords="offset points", color=colour, fontsize=11
            )
            box = note.get_window_extent()
        taken.append((box.x0 - 6, box.y0, box.x1 + 6, box.y1))


def _shown(values, metric):
    return np.clip(values, 0.1, HIGHEST_SSIM) if metric == "ssim" else values


def _spread_ssim(axis, which, ticks):
    """Logit scales: from 0.9 to 0.99 is as far as from 0.99 to 0.999."""
    for name in which:
        axis.set(**{f"{name}scale": "logit"})
        one = getattr(axis, f"{name}axis")
        one.set_major_locator(ticker.FixedLocator(ticks))
        one.set_minor_locator(ticker.NullLocator())
        one.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
