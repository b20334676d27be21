import itertools
import re

import pytest
from keras import Input, Model, layers

from steglib.evaluation.architecture import show_architecture
from steglib.layers import skip_block
from steglib.models.plain import build_decoder, build_encoder


def boxes(figure):
    """From a box's name to the rest of its text and to its place."""
    (axis,) = figure.axes
    texts = [text for text in axis.texts if text.get_text()]
    return {
        text.get_text().partition(":")[0]: (text.get_text().partition(": ")[2], text.get_position())
        for text in texts
    }


def joined(figure):
    """From where to where each line goes."""
    (axis,) = figure.axes
    return {(note.xyann, note.xy) for note in axis.texts if not note.get_text()}


def test_a_box_for_each_layer_joined_as_the_layers_are():
    inputs = Input((None, None, 3), name="picture")
    x = layers.Rescaling(2.0, name="unseen")(inputs)
    x = layers.Conv2D(8, 4, 4, name="narrow")(x)
    x = skip_block(x, 16, "block")
    outputs = layers.Conv2DTranspose(3, 4, 4, name="wide")(x)
    figure = show_architecture(Model(inputs, outputs), size=32)
    found = boxes(figure)
    assert list(found) == ["picture", "narrow", "block", "wide"]
    assert found["picture"][0].endswith("32 × 32 × 3")
    assert found["narrow"][0] == "Conv2D 4×4, stride 4\n8 × 8 × 8"
    assert found["wide"][0] == "Conv2DTranspose 4×4, stride 4\n32 × 32 × 3"
    assert found["block"][0] == "skip block\n8 × 8 × 8"
    places = [place for _, place in found.values()]
    assert [y for _, y in places] == [0, -1, -2, -3]
    assert joined(figure) == set(itertools.pairwise(places))


@pytest.mark.parametrize("build", [build_encoder, build_decoder])
def test_the_plain_networks_are_drawn_whole(build):
    network = build()
    figure = show_architecture(network)
    found = boxes(figure)
    blocks = {m[1] for layer in network.layers if (m := re.match(r"(.*)_3x3$", layer.name))}
    inputs = {layer.name for layer in network.layers if type(layer).__name__ == "InputLayer"}
    assert blocks | inputs <= set(found)
    starts = {place for name, (_, place) in found.items() if name in inputs}
    heads, ends = ({pair[i] for pair in joined(figure)} for i in (0, 1))
    assert starts <= heads - ends  # all but the inputs come from somewhere
    assert {place for _, place in found.values()} == heads | ends
