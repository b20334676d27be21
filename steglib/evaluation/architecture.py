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
    if kind in ("Rescaling", "Normalization"):
        return None, None
    if hasattr(layer, "kernel_size"):
        side = "×".join(map(str, layer.kernel_size))
        kind = f"{kind} {side}, stride {layer.strides[0]}"
    return layer.name, f"{layer.name}: {kind}\n{values}"


def _draw(boxes, lines):
    places = _places(boxes, lines)
    left, right = (side(x for x, _ in places.values()) for side in (min, max))
    depth = 1 - min(y for _, y in places.values())
    figure, axis = plt.subplots(figsize=(4.6 * (right - left + 1), 0.78 * depth))
    for parent, child in lines:
        far = boxes[child][0] - boxes[parent][0] > 1  # around the boxes between
        bulge = 0.7 * far * (1 if places[parent][0] < places[child][0] else -1)
        bend = {"arrowstyle": "-", "color": "grey", "connectionstyle": f"arc3,rad={bulge}"}
        axis.annotate("", places[child], places[parent], arrowprops=bend, zorder=1)
    for name, (_, text, colour) in boxes.items():
        look = {"boxstyle": "round,pad=0.4", "facecolor": colour, "edgecolor": "grey"}
        axis.text(*places[name], text, ha="center", va="center", fontsize=11, bbox=look)
    axis.set(xlim=(left - 0.8, right + 0.5), ylim=(0.6 - depth, 0.6))
    axis.axis("off")
    return figure


def _places(boxes, lines):
    """Each box below the middle of what it is joined to above, one apart from its neighbours."""
    rows, places = {}, {}
    for name, (row, _, _) in boxes.items():
        rows.setdefault(row, []).append(name)
    for row, names in sorted(rows.items()):
        wished = []
        for i, name in enumerate(names):
            above = [places[parent][0] for parent, child in lines if child == name]
            wished.append((sum(above) / len(above) if above else i, i))
        xs = []
        for x, _ in sorted(wished):
            xs.append(max(x, xs[-1] + 1) if xs else x)
        shift = (sum(xs) - sum(x for x, _ in wished)) / len(xs)
        for x, (_, i) in zip(xs, sorted(wished), strict=True):
            places[names[i]] = x - shift, -row
    return places
