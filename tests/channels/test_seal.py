import hashlib

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from scipy import stats

from steglib.channels import seal as sealing
from steglib.channels.seal import DRAWN, Seal

# Salt, r − 8 in the lowest bits of a byte, nonce.
HEADS = [bytes([107, *range(1, 16), 0xA4 | more, *range(40, 52)]) for more in range(4)]


def derive(password, head, r):
    """The 64 bytes of keys, by another implementation of RFC 7914."""
    options = {"n": 2**17, "r": r, "p": 1, "maxmem": 2**30, "dklen": 64}
    return hashlib.scrypt(password, salt=head[:16], **options)


@pytest.mark.parametrize("more", [0, 3])
def test_the_keys_and_what_they_do(more):
    """Written out once more: sealed files that exist must remain readable."""
    password, head = "pass phrase, schön".encode(), HEADS[more]
    seal, keys = Seal(password, head), derive(password, head, 8 + more)
    cipher, nonce = ChaCha20Poly1305(keys[:32]), head[17:]
    assert seal.encrypt(b"data", b"preamble") == cipher.encrypt(nonce, b"data", head + b"preamble")
    stream = Cipher(ChaCha20(keys[32:], bytes(4) + nonce), None).encryptor().update(bytes(416))
    masked = bytes(a ^ b for a, b in zip(b"16 bytes, masked", stream, strict=False))
    assert seal.mask(b"16 bytes, masked") == masked
    words = np.frombuffer(stream[16:], "<u4").tolist()
    assert seal.digits(60, 5).tolist() == [word % 5 for word in words[:60]]
    assert seal.digits(40, 16).tolist() == [word % 16 for word in words[60:]]


def test_an_empty_password_is_refused():
    with pytest.raises(ValueError, match="key is empty"):
        Seal(b"", HEADS[0])


def test_a_phrase_is_the_same_however_it_is_typed():
    assert sealing.password("a\u0308") == sealing.password("\u00e4") == "\u00e4".encode()


def test_the_cost_of_a_guess(monkeypatch):
    """With N = 2¹⁷, r = 8 and p = 1, scrypt takes 128 MiB and some 0.4 s; larger r, more."""
    asked = []

    def scrypt(salt, length, **cost):
        asked.append(cost)
        return Scrypt(salt=salt, length=length, n=2, r=1, p=1)

    monkeypatch.setattr(sealing, "Scrypt", scrypt)
    for head in HEADS:
        Seal(b"key", head)
    assert asked == [{"n": 2**17, "r": r, "p": 1} for r in (8, 9, 10, 11)]
    for _ in range(20):
        Seal(b"key", Seal.fresh(b"key").head)
        assert asked[-1] == asked[-2]


def test_fresh_heads_look_random(quick_scrypt):
    heads = np.stack([np.frombuffer(Seal.fresh(b"key").head, np.uint8) for _ in range(3000)])
    assert heads.shape == (3000, DRAWN) and DRAWN == 29
    bits = np.unpackbits(heads, axis=1).astype(int)
    ones = stats.chi2.sf(4 * (bits.sum(axis=0) - 1500) ** 2 / 3000, 1)  # of each bit by itself
    assert ones.min() > 1e-9
    for column in heads.T[[0, 16, 17, 28]]:
        assert stats.chisquare(np.bincount(column, minlength=256)).pvalue > 1e-9
    together = 4 * (heads[:, 16] % 4) + heads[:, 0] % 4
    assert stats.chisquare(np.bincount(together, minlength=16)).pvalue > 1e-9
    assert len({bytes(row) for row in heads[:, :16]}) == 3000  # salts
    assert len({bytes(row) for row in heads[:, 17:]}) == 3000  # nonces


@pytest.mark.parametrize("base", [2, 3, 5, 6, 8, 12, 16])
def test_digits_are_uniform_and_independent(quick_scrypt, base):
    seal = Seal(b"key", HEADS[2])
    digits = np.concatenate([seal.digits(n, base) for n in (1, 0, 99_999, 100_000)])
    assert digits.dtype == np.uint8
    for pairs in (digits, digits[:-1:2].astype(int) * base + digits[1::2]):
        assert stats.chisquare(np.bincount(pairs)).pvalue > 1e-6
    assert max(digits) == base - 1


def test_a_mask_is_uniform_and_its_own_inverse(quick_scrypt):
    masked = Seal(b"key", HEADS[2]).mask(bytes(100_000))
    assert stats.chisquare(np.bincount(np.frombuffer(masked, np.uint8))).pvalue > 1e-6
    seal = Seal(b"key", HEADS[2])
    assert seal.mask(masked[:99]) + seal.mask(masked[99:]) == bytes(100_000)


def test_nothing_else_is_decrypted(quick_scrypt):
    """Neither with another bit of data, tag, preamble or head, nor with another password."""

    def change(text, bit):
        return bytes(byte ^ (i == bit // 8) << bit % 8 for i, byte in enumerate(text))

    head, preamble, data = HEADS[1], bytes(range(100, 116)), b"what is hidden"
    sealed = Seal(b"key", head).encrypt(data, preamble)
    assert len(sealed) == len(data) + sealing.TAG
    opened = Seal(b"key", head)
    assert opened.decrypt(sealed, preamble) == data
    for bit in range(8 * len(sealed)):
        assert opened.decrypt(change(sealed, bit), preamble) is None
    for bit in range(8 * len(preamble)):
        assert opened.decrypt(sealed, change(preamble, bit)) is None
    for bit in range(8 * DRAWN):
        assert Seal(b"key", change(head, bit)).decrypt(sealed, preamble) is None
    for short in (b"", sealed[:15], sealed[:-1], sealed[1:], sealed + b"\0"):
        assert opened.decrypt(short, preamble) is None
    assert opened.decrypt(sealed, preamble[:-1]) is None
    for password in (b"k", b"Key", b"key "):
        assert Seal(password, head).decrypt(sealed, preamble) is None
