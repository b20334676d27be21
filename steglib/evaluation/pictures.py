"""Pictures side by side. Functions draw and return a matplotlib figure."""

import textwrap
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns

from steglib import paths
from steglib.evaluation import metrics
from steglib.evaluation.charts import OTHER_COLOURS

TEXT = 11  # points: readable at half the size


def use_style() -> None:
    """Sets the look of all figures; called once at the top of a notebook."""
    sns.set_theme(style="whitegrid", context="notebook", palette="colorblind")
    plt.rcParams.update(
        {"figure.dpi": 80, "savefig.dpi": 110, "figure.constrained_layout.use": True}
    )
    plt.rcParams["axes.prop_cycle"] = plt.cycler(color=OTHER_COLOURS)


def save_figure(figure, name: str) -> Path:
    """Saves a figure as `figures/<name>.png`; `name` begins with its notebook's number."""
    path = paths.figures_dir() / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
    return path


def show_images(images, titles=None, columns: int = 8):
    """A grid of images, row by row.

    Args:
        images: uint8 [n, h, w, 3].
        titles: one for each, or None.
        columns: in a row, at most.
    """
    columns = min(columns, len(images))
    figure, axes = _grid(-(-len(images) // columns), columns)
    for i, (axis, image) in enumerate(zip(axes.flat, images, strict=False)):
        axis.imshow(image, interpolation="nearest")
        if titles is not None:
            axis.set_title(textwrap.fill(titles[i], 16), fontsize=TEXT)
    return figure


def show_pairs(
    covers, secrets, stegos, revealed, magnify: float = 10, zoom=None, labels=None, side=1.5
):
    """Rows of cover, stego, their difference, secret, revealed, their difference.

    Args:
        covers, secrets, stegos, revealed: uint8 [n, h, w, 3].
        magnify: differences are shown times this, around mid-grey.
        zoom: where to look closer, see `add_zoom`; None for nowhere.
        labels: a name for each row, written to its left; None for none.
        side: of each picture, in inches.
    """
    figure, axes = _grid(len(covers), 6, side)
    titles = ["cover", "stego", f"difference ×{magnify:g}"]
    titles += ["secret", "revealed", f"difference ×{magnify:g}"]
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=TEXT)
    cover_errors = magnified(stegos, covers, magnify)
    secret_errors = magnified(revealed, secrets, magnify)
    rows = zip(covers, stegos, cover_errors, secrets, revealed, secret_errors, strict=True)
    for i, (row, images) in enumerate(zip(axes, rows, strict=True)):
        for axis, image in zip(row, images, strict=True):
            axis.imshow(image, interpolation="nearest")
            if zoom is not None:
                add_zoom(axis, image, zoom)
        if labels is not None:
            place = {"transform": row[0].transAxes, "ha": "right", "va": "center"}
            row[0].text(-0.06, 0.5, labels[i], rotation=90, fontsize=TEXT, **place)
    return figure


def show_pair(cover, secret, stego, revealed, zoom=None, side: float = 3):
    """The four images uint8 [h, w, 3] of one pair, large, with PSNRs.

    Args:
        cover, secret, stego, revealed: uint8 [h, w, 3].
        zoom: where to look closer, see `add_zoom`; None for nowhere.
        side: width of each picture, in inches.
    """
    cover_psnr, secret_psnr = metrics.psnr(
        np.stack([cover, secret]), np.stack([stego, revealed])
    ).round(1)
    titles = ["cover", "secret", f"stego\n{cover_psnr} dB", f"revealed\n{secret_psnr} dB"]
    height, width = cover.shape[:2]
    figure, axes = plt.subplots(1, 4, figsize=(4 * side, side * height / width + 0.6))
    for axis, image, title in zip(axes, (cover, secret, stego, revealed), titles, strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_title(title, fontsize=TEXT + 1)
        axis.axis("off")
        if zoom is not None:
            add_zoom(axis, image, zoom)
    return figure


def show_hiding(cover, secret, stego, revealed, magnify: float = 20, zoom=None):
    """Cover, stego image, their difference; below, secret, revealed image, their difference.

    Cover and secret may differ in size.

    Args:
        cover, secret, stego, revealed: uint8 [h, w, 3].
        magnify: differences are shown times this, around mid-grey.
        zoom: where to look closer, see `add_zoom`; None for nowhere.
    """
    rows = (("cover", cover, "stego", stego), ("secret", secret, "revealed", revealed))
    heights = [4 * min(1, image.shape[0] / image.shape[1]) for image in (cover, secret)]
    figure, axes = plt.subplots(
        2, 3, figsize=(12, sum(heights) + 0.8), gridspec_kw={"height_ratios": heights}
    )
    for row, (before, wanted, after, image) in zip(axes, rows, strict=True):
        psnr = metrics.psnr(wanted[None], image[None])[0]
        stride = -(-max(wanted.shape) // 1000)  # more pixels than that nobody sees here
        quality = "exact" if np.isinf(psnr) else f"PSNR {psnr:.1f} dB"
        titles = [before, f"{after}, {quality}", f"difference ×{magnify:g}"]
        shown = [wanted, image, magnified(image, wanted, magnify)]
        # Scaled down smoothly, a noisy difference would look smaller than it is.
        ways = ["auto", "auto", "nearest"]
        for axis, title, picture, way in zip(row, titles, shown, ways, strict=True):
            axis.imshow(picture[::stride, ::stride], interpolation=way)
            axis.set_title(title, fontsize=TEXT + 1)
            axis.axis("off")
            if zoom is not None:
                add_zoom(axis, picture, zoom)
    return figure


def add_zoom(axis, image, zoom: tuple[float, float, float]) -> None:
    """Shows a square of a picture again, larger, in the corner that is farthest from it.

    Args:
        axis: shows the picture, perhaps scaled down.
        image: uint8 [h, w, 3], the picture at its own size.
        zoom: the square's centre, across and down, and its side, as shares of the picture's width,
            height and shorter side: (0.5, 0.4, 0.25).
    """
    height, width = image.shape[:2]
    side = round(zoom[2] * min(height, width))
    left = round(np.clip(zoom[0] * width - side / 2, 0, width - side))
    top = round(np.clip(zoom[1] * height - side / 2, 0, height - side))
    shown = min(0.45, 0.45 * height / width), min(0.45, 0.45 * width / height)  # of the axis
    corner = [
        0.99 - shown[0] if zoom[0] < 0.5 else 0.01,
        0.01 if zoom[1] < 0.5 else 0.99 - shown[1],
    ]
    inset = axis.inset_axes([*corner, *shown])
    inset.imshow(image[top : top + side, left : left + side], interpolation="nearest")
    inset.set(xticks=[], yticks=[])
    scale = axis.images[0].get_array().shape[1] / width
    place = (left * scale - 0.5, top * scale - 0.5)
    frame = plt.Rectangle(place, side * scale, side * scale, fill=False)
    axis.add_patch(frame)
    for edge in (*inset.spines.values(), frame):
        edge.set(visible=True, edgecolor="yellow", linewidth=1.5)


def show_components(basis, size: int, numbers=range(1, 33), columns: int = 8):
    """Components of a block as pictures, each scaled to the full range and titled by its number.

    Args:
        basis: float [size·size·3, d], a component in each column.
        size: of the block, in pixels a side.
        numbers: which of them, counted from 1, the strongest.
        columns: in a row, at most.
    """
    blocks = basis[:, np.array(numbers) - 1].T.reshape(-1, size, size, 3)
    scale = np.abs(blocks).max(axis=(1, 2, 3), keepdims=True)
    levels = np.rint(127.5 + 127.5 * blocks / scale).astype(np.uint8)
    return show_images(levels, [str(number) for number in numbers], columns)


def magnified(a, b, factor: float) -> np.ndarray:
    """The difference of two uint8 arrays of one shape, times `factor`, around mid-grey: uint8."""
    difference = a.astype(np.float64) - b
    return np.clip(np.rint(127.5 + factor * difference), 0, 255).astype(np.uint8)


def _grid(rows: int, columns: int, side: float = 1.5):
    # Room for titles is fixed, so that small grids do not squeeze their pictures.
    figure, axes = plt.subplots(
        rows, columns, figsize=(side * columns, side * rows + 0.4), squeeze=False
    )
    for axis in axes.flat:
        axis.axis("off")
    return figure, axes
