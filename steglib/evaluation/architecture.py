"""Draws a network from its own layers, so that the drawing cannot be out of date."""

import re

import matplotlib.pyplot as plt

PART_OF_BLOCK = re.compile(r"(.+)_(3x3|1x1)$")
COLOURS = {"Conv2D": "#cfe3f5", "Conv2DTranspose": "#d9ecd0", "InputLayer": "#eeeeee"}


def show_architecture(network, size: int = 64):
    """A box for each layer of a functional Keras model, from top to bottom, joined by lines.

    A skip block, whose layers are named …_3x3, …_1x1 and …_sum, is one box; layers that
    only rescale have none.

    Args:
        network: its inputs are images of three channels.
        size: height and width of an input, for the shapes in the boxes.
    """
    shapes, origins, boxes, lines = {}, {}, {}, []
    for layer in network.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        given = [shapes[id(tensor)] for tensor in inputs if id(tensor) in shapes]
        is_input = type(layer).__name__ == "InputLayer"
        shape = (1, size, size, 3) if is_input else _output_shape(layer, given)
        shapes[id(layer.output)] = shape
        above = list(dict.fromkeys(origins[id(t)] for t in inputs if id(t) in origins))
        name, text = _describe(layer, shape, given)
        if name is None and not is_input:
            origins[id(layer.output)] = above[0]
            continue
        origins[id(layer.output)] = name
        if name in boxes:  # the rest of a skip block, whose input is drawn already
            continue
        row = 1 + max((boxes[parent][0] for parent in above), default=-1)
        boxes[name] = row, text, COLOURS.get(type(layer).__name__, "#f7e6c4")
        lines += [(parent, name) for parent in above]
    return _draw(boxes, lines)


def _output_shape(layer, given):
    return tuple(layer.compute_output_shape(given[0] if len(given) == 1 else given))


def _describe(layer, shape, given):
    """The box that a layer belongs to, and the text in it; None and None for no box."""
    kind = type(layer).__name__
    values = " × ".join(map(str, shape[1:]))
    if part := PART_OF_BLOCK.match(layer.name):  # its first layer: a block keeps its input's shape
        return part[1], f"{part[1]}: skip block\n{' × '.join(map(str, given[0][1:]))}"
    if layer.name.endswith("_sum"):
        return layer.name.removesuffix("_sum"), None
    if kind == "Rescaling":
        return None, None
    if hasattr(layer, "kernel_size"):
        side = "×".join(map(str, layer.kernel_size))
        kind = f"{kind} {side}, stride {layer.strides[0]}"
    return layer.name, f"{layer.name}: {kind}\n{values}"


def _draw(boxes, lines):
    rows = {}
    for name, (row, _, _) in boxes.items():
        rows.setdefault(row, []).append(name)
    places = {
        name: (i - (len(names) - 1) / 2, -row)
        for row, names in rows.items()
        for i, name in enumerate(names)
    }
    width = max(map(len, rows.values()))
    figure, axis = plt.subplots(figsize=(4.6 * width, 0.78 * len(rows)))
    for parent, child in lines:
        far = boxes[child][0] - boxes[parent][0] > 1  # around the boxes between
        bend = {"arrowstyle": "-", "color": "grey", "connectionstyle": f"arc3,rad={0.9 * far}"}
        axis.annotate("", places[child], places[parent], arrowprops=bend, zorder=1)
    for name, (_, text, colour) in boxes.items():
        look = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "grey"}
        axis.text(*places[name], text, ha="center", va="center", fontsize=11, bbox=look)
    axis.set(xlim=(-width / 2 - 0.3, width / 2), ylim=(0.6 - len(rows), 0.6))
    axis.axis("off")
    return figure
