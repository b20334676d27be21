import keras
import numpy as np
import pytest

from steglib.evaluation import metrics
from steglib.models import losses


@pytest.fixture
def joined(pairs):
    covers, secrets = pairs
    wanted = np.concatenate([covers, secrets], axis=-1)
    rng = np.random.default_rng(0)
    got = (
        wanted + rng.normal(size=wanted.shape) * np.linspace(1, 9, len(wanted))[:, None, None, None]
    )
    return wanted, got.astype(np.float32)


def test_mse_losses(joined):
    wanted, got = joined
    cover = np.mean((got[..., :3] - wanted[..., :3]) ** 2)
    secret = np.mean((got[..., 3:] - wanted[..., 3:]) ** 2)
    reveal = losses.RevealLoss()(wanted[..., 3:], got[..., 3:])
    assert float(reveal) == pytest.approx(secret, rel=1e-5)
    for beta in (0.0, 0.75, 2.0):
        full = losses.FullLoss(beta)(wanted, got)
        assert float(full) == pytest.approx(secret + beta * cover, rel=1e-5)


def test_rmse_losses_are_roots_per_pair(joined):
    wanted, got = joined
    cover, secret = (
        metrics.mse(wanted[..., part], got[..., part]) for part in (slice(3), slice(3, 6))
    )
    full = losses.FullLoss(beta=2.0, scale="rmse")(wanted, got)
    assert float(full) == pytest.approx(np.sqrt(secret + 2 * cover).mean(), rel=0.01)
    reveal = losses.RevealLoss("rmse")(wanted[..., 3:], got[..., 3:])
    assert float(reveal) == pytest.approx(np.sqrt(secret).mean(), rel=0.01)


def test_log_loss_is_minus_the_mean_psnr(joined):
    wanted, got = joined
    cover = metrics.psnr(wanted[..., :3], got[..., :3]).mean()
    secret = metrics.psnr(wanted[..., 3:], got[..., 3:]).mean()
    full = losses.FullLoss(beta=2.0, scale="log")(wanted, got)
    assert float(full) == pytest.approx(-(secret + 2 * cover), abs=0.2)  # the floor of rounding
    assert np.isfinite(float(losses.FullLoss(scale="log")(wanted, wanted.astype(np.float32))))


def test_watched_metrics(joined):
    wanted, got = joined
    secret = metrics.mse(wanted[..., 3:], got[..., 3:])
    assert np.array(losses.reveal_mse(wanted, got)) == pytest.approx(secret, rel=1e-5)
    assert np.array(losses.cover_psnr(wanted, got)) == pytest.approx(
        metrics.psnr(wanted[..., :3], got[..., :3]), rel=1e-5
    )


def test_losses_survive_serialisation():
    loss = keras.losses.deserialize(keras.losses.serialize(losses.FullLoss(0.3, "log")))
    assert (loss.beta, loss.scale) == (0.3, "log")


def test_unknown_scale():
    with pytest.raises(ValueError, match="scale"):
        losses.RevealLoss("decibel")
