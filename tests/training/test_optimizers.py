import keras
import numpy as np
import pytest

from steglib.training.optimizers import ConvolutionMuon, learning_rates
from steglib.training.recipe import TrainingConfig


def test_cosine_schedule():
    rates = learning_rates(TrainingConfig(learning_rate=0.01, warmup=0.1), 1000)
    values = [float(rates(update)) for update in (0, 50, 100, 550, 1000)]
    assert values == pytest.approx([0, 0.005, 0.01, 0.005, 0], abs=1e-6)


def test_step_schedule_of_the_original_notebook():
    rates = learning_rates(TrainingConfig(learning_rate=0.001, schedule="steps"), 1000)
    values = [float(rates(update)) for update in (0, 199, 201, 399, 401, 599, 601, 999)]
    assert values == pytest.approx([1e-3, 1e-3, 3e-4, 3e-4, 1e-4, 1e-4, 3e-5, 3e-5])


def test_a_kernel_moves_by_an_orthogonal_matrix_whatever_its_gradient():
    kernel = keras.Variable(np.zeros((3, 3, 4, 8), np.float32))
    optimizer = ConvolutionMuon(0.1, weight_decay=0)
    # One direction a thousand times as strong as the others: Adam and Muon part here.
    gradient = np.random.default_rng(0).normal(size=(36, 8)) * [1000, 1, 1, 1, 1, 1, 1, 1]
    optimizer.apply([gradient.reshape(3, 3, 4, 8).astype(np.float32)], [kernel])
    moved = np.linalg.svd(keras.ops.convert_to_numpy(kernel).reshape(36, 8), compute_uv=False)
    assert moved.max() / moved.min() < 4  # in the gradient it is 1000
    size = 0.1 * 0.2 * np.sqrt(36)  # learning rate, of Liu et al., and the longer side
    assert np.all((0.3 * size < moved) & (moved < 1.3 * size))


def test_vectors_move_as_by_adam():
    bias = keras.Variable(np.zeros(5, np.float32))
    optimizer = ConvolutionMuon(0.1, weight_decay=0)
    optimizer.apply([np.array([1, -2, 3, -4, 1000], np.float32)], [bias])
    assert keras.ops.convert_to_numpy(bias) == pytest.approx([-0.1, 0.1, -0.1, 0.1, -0.1], rel=1e-3)


def test_kernels_decay_and_biases_do_not():
    kernel = keras.Variable(np.ones((3, 3, 2, 2), np.float32), name="kernel")
    bias = keras.Variable(np.ones(2, np.float32), name="bias")
    optimizer = ConvolutionMuon(0.1, weight_decay=0.5)
    optimizer.apply([np.zeros((3, 3, 2, 2), np.float32), np.zeros(2, np.float32)], [kernel, bias])
    assert keras.ops.convert_to_numpy(kernel) == pytest.approx(0.95)
    assert keras.ops.convert_to_numpy(bias) == pytest.approx(1)
