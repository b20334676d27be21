import numpy as np

from steglib.research import photographs


def test_large_picture():
    picture = photographs.large_picture((300, 400))
    assert picture.shape == (300, 400, 3) and picture.dtype == np.uint8
    assert not np.array_equal(picture, photographs.large_picture((300, 400), seed=1))
    photos = photographs.photographs().values()
    piece = picture[:4, :9]
    pieces = [np.lib.stride_tricks.sliding_window_view(photo, piece.shape) for photo in photos]
    assert any(
        (part == p).all((-3, -2, -1)).any() for p in (piece, piece[:, ::-1]) for part in pieces
    )
