"""Seals a payload with a key: who has not got it sees random digits, and can change none.

scrypt makes the keys from a password (Percival and Josefsson, 2016, RFC 7914), ChaCha20-Poly1305
encrypts and authenticates (Nir and Langley, 2018, RFC 8439); all by the `cryptography` package.
"""

import os
import unicodedata

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

SALT, NONCE, TAG = 16, 12, 16  # bytes
DRAWN = SALT + 1 + NONCE
COST = 2**17  # scrypt's N; with r = 8…11 and p = 1, that is 0.4 s or more and 128 MiB or more


def password(key: str | bytes) -> bytes:
    """A pass phrase as bytes, the same from every system's keyboard; bytes as they are.

    Raises:
        TypeError: it is neither.
    """
    if isinstance(key, str):
        return unicodedata.normalize("NFC", key).encode()
    if isinstance(key, bytes):
        return key
    raise TypeError(f"A key is bytes or a text, not {type(key).__name__}.")


class Shuffle:
    """Orders that nobody can tell who does not know the password, one after the other.

    Args:
        password: not empty.
        purpose: another one gives other orders.
    """

    def __init__(self, password: bytes, purpose: bytes):
        key = Scrypt(salt=purpose, length=32, n=COST, r=8, p=1).derive(password)
        self._stream = Cipher(ChaCha20(key, bytes(16)), None).encryptor()

    def order(self, count: int) -> np.ndarray:
        """0…count − 1 in the next order, int64 [count]."""
        drawn = np.frombuffer(self._stream.update(bytes(8 * count)), "<u8")
        low = np.uint64(2 ** count.bit_length() - 1)  # there, each number is beside its place
        return (np.sort(drawn & ~low | np.arange(count, dtype=np.uint64)) & low).astype(np.int64)


class Seal:
    """One payload's keys.

    Args:
        password: what only sender and receiver know.
        head: what the sender drew, `DRAWN` random bytes: salt; one whose two lowest bits are
            scrypt's r − 8; nonce. One good value of r would tell a seal from other noise: so
            there are four.

    Raises:
        ValueError: the password is empty.
    """

    def __init__(self, password: bytes, head: bytes):
        if not password:
            raise ValueError("The key is empty: choose one that nobody guesses.")
        salt, size, nonce = head[:SALT], 8 + head[SALT] % 4, head[SALT + 1 :]
        scrypt = Scrypt(salt=salt, length=64, n=COST, r=size, p=1)
        keys = scrypt.derive(password)
        self.head, self._nonce = head, nonce
        self._cipher = ChaCha20Poly1305(keys[:32])
        self._stream = Cipher(ChaCha20(keys[32:], bytes(4) + nonce), None).encryptor()

    @classmethod
    def fresh(cls, password: bytes) -> "Seal":
        """A seal with a new salt and nonce."""
        return cls(password, os.urandom(DRAWN))

    def mask(self, data: bytes) -> bytes:
        """`data` with the next bytes of the key stream, by exclusive or; its own inverse."""
        return self._stream.update(data)

    def digits(self, count: int, base: int) -> np.ndarray:
        """The next digits of the key stream, uint8 [count], uniform in 0…base − 1."""
        words = np.frombuffer(self.mask(bytes(4 * count)), "<u4")
        return (words % np.uint32(base)).astype(np.uint8)

    def encrypt(self, data: bytes, preamble: bytes) -> bytes:
        """`TAG` bytes longer than `data`; vouches for the preamble and the head, too."""
        return self._cipher.encrypt(self._nonce, data, self.head + preamble)

    def decrypt(self, data: bytes, preamble: bytes) -> bytes | None:
        """What was encrypted; None if not just this was, with this key."""
        try:
            return self._cipher.decrypt(self._nonce, data, self.head + preamble)
        except InvalidTag:
            return None
