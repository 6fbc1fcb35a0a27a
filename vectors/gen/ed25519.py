"""Ed25519 after RFC 8032 section 5.1: key from seed, signature, verification."""

import hashlib
from functools import lru_cache

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_1 = pow(2, (P - 1) // 4, P)
NEUTRAL = (0, 1, 1, 0)


def recover_x(y, sign_bit):
    """The x of a compressed point, None where there is none."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    if square == 0:
        return None if sign_bit else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_MINUS_1 % P
    if (x * x - square) % P:
        return None
    return P - x if x & 1 != sign_bit else x


BASE_Y = 4 * pow(5, -1, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def add(a, b):
    """Sum in extended coordinates (x, y, z, t) with t = xy/z."""
    p = (a[1] - a[0]) * (b[1] - b[0]) % P
    q = (a[1] + a[0]) * (b[1] + b[0]) % P
    c = 2 * a[3] * b[3] * D % P
    d = 2 * a[2] * b[2] % P
    e, f, g, h = q - p, d - c, d + c, q + p
    return e * f % P, g * h % P, f * g % P, e * h % P


def mul(k, point):
    total = NEUTRAL
    while k:
        if k & 1:
            total = add(total, point)
        point = add(point, point)
        k >>= 1
    return total


def equal(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def compress(point):
    zi = pow(point[2], -1, P)
    x, y = point[0] * zi % P, point[1] * zi % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    value = int.from_bytes(data, "little")
    y = value & ((1 << 255) - 1)
    x = recover_x(y, value >> 255)
    return None if x is None else (x, y, 1, x * y % P)


def expand(seed):
    """The clamped scalar and the prefix of the nonce."""
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little")
    return a & ((1 << 254) - 8) | (1 << 254), h[32:]


@lru_cache(maxsize=None)
def public_key(seed):
    return compress(mul(expand(seed)[0], BASE))


def hash_to_scalar(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % L


@lru_cache(maxsize=None)
def sign(seed, message):
    a, prefix = expand(seed)
    pub = public_key(seed)
    r = hash_to_scalar(prefix, message)
    r_bytes = compress(mul(r, BASE))
    s = (r + hash_to_scalar(r_bytes, pub, message) * a) % L
    return r_bytes + s.to_bytes(32, "little")


@lru_cache(maxsize=None)
def verify(pub, message, signature):
    if len(signature) != 64:
        return False
    a, r = decompress(pub), decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    h = hash_to_scalar(signature[:32], pub, message)
    return equal(mul(s, BASE), add(r, mul(h, a)))
