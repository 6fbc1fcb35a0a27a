"""HKDF-SHA-256 (RFC 5869) and XChaCha20-Poly1305 (RFC 8439 and the XChaCha draft's HChaCha20)."""

import hashlib
import hmac
import struct


def hkdf(ikm, salt, info, length=32):
    prk = hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()
    out, block = b"", b""
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([len(out) // 32 + 1]), hashlib.sha256).digest()
        out += block
    return out[:length]


CONSTANT = struct.unpack("<4I", b"expand 32-byte k")
ROUNDS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)


def rotate(value, bits):
    return (value << bits | value >> 32 - bits) & 0xFFFFFFFF


def permute(state):
    """The twenty rounds, without the final addition."""
    x = list(state)
    for _ in range(10):
        for a, b, c, d in ROUNDS:
            x[a] = (x[a] + x[b]) & 0xFFFFFFFF
            x[d] = rotate(x[d] ^ x[a], 16)
            x[c] = (x[c] + x[d]) & 0xFFFFFFFF
            x[b] = rotate(x[b] ^ x[c], 12)
            x[a] = (x[a] + x[b]) & 0xFFFFFFFF
            x[d] = rotate(x[d] ^ x[a], 8)
            x[c] = (x[c] + x[d]) & 0xFFFFFFFF
            x[b] = rotate(x[b] ^ x[c], 7)
    return x


def chacha_block(key, counter, nonce):
    state = CONSTANT + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(permute(state), state, strict=True)))


def chacha_xor(key, counter, nonce, data):
    out = bytearray()
    for start in range(0, len(data), 64):
        stream = chacha_block(key, counter + start // 64, nonce)
        out += bytes(a ^ b for a, b in zip(data[start : start + 64], stream, strict=False))
    return bytes(out)


def hchacha(key, nonce):
    x = permute(CONSTANT + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    return struct.pack("<8I", *x[:4], *x[12:])


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for start in range(0, len(data), 16):
        block = data[start : start + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % (2**130 - 5)
    return ((total + int.from_bytes(key[16:], "little")) % 2**128).to_bytes(16, "little")


def padded(data):
    return data + bytes(-len(data) % 16)


def tag_of(key, nonce, ciphertext, ad):
    one_time = chacha_block(key, 0, nonce)[:32]
    lengths = struct.pack("<QQ", len(ad), len(ciphertext))
    return poly1305(one_time, padded(ad) + padded(ciphertext) + lengths)


def inner(key, nonce):
    """Key and nonce of the ChaCha20-Poly1305 inside."""
    return hchacha(key, nonce[:16]), bytes(4) + nonce[16:]


def seal(key, nonce, plaintext, ad):
    """XChaCha20-Poly1305 with a 24-byte nonce; the answer is ciphertext and tag."""
    key, nonce = inner(key, nonce)
    ciphertext = chacha_xor(key, 1, nonce, plaintext)
    return ciphertext + tag_of(key, nonce, ciphertext, ad)


def open_sealed(key, nonce, sealed, ad):
    """The plaintext, None where the tag does not hold."""
    key, nonce = inner(key, nonce)
    ciphertext, tag = sealed[:-16], sealed[-16:]
    if len(sealed) < 16 or tag_of(key, nonce, ciphertext, ad) != tag:
        return None
    return chacha_xor(key, 1, nonce, ciphertext)
