import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def lines():
    """A function: the points of each line of an axis that has a label."""

    def read(axis):
        return {
            line.get_label(): np.transpose(line.get_data()).tolist()
            for line in axis.lines
            if not line.get_label().startswith("_")
        }

    return read
