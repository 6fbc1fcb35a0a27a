"""secp256k1 (SEC 2) and BIP-340 signatures, in plain integers.

Nothing here is constant time: it makes test vectors from published keys and must never hold a secret.
"""

import hashlib
from functools import lru_cache

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

INFINITY = (1, 1, 0)


def double(a):
    """Twice a point in Jacobian coordinates (the curve's coefficient a is 0)."""
    x, y, z = a
    if z == 0:
        return INFINITY
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * x * x % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def add_affine(a, b):
    """A Jacobian point plus an affine one."""
    x1, y1, z1 = a
    x2, y2 = b
    if z1 == 0:
        return x2, y2, 1
    zz = z1 * z1 % P
    u2 = x2 * zz % P
    s2 = y2 * zz * z1 % P
    if u2 == x1:
        return double(a) if s2 == y1 else INFINITY
    h = (u2 - x1) % P
    r = (s2 - y1) % P
    hh = h * h % P
    hhh = hh * h % P
    v = x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y1 * hhh) % P, z1 * h % P


def affine(a):
    """Affine coordinates, None for the point at infinity."""
    x, y, z = a
    if z == 0:
        return None
    zi = pow(z, -1, P)
    zi2 = zi * zi % P
    return x * zi2 % P, y * zi2 * zi % P


@lru_cache(maxsize=None)
def base_table():
    """Row w holds 1..15 times 16^w times G, so that a base multiplication is additions only."""
    rows, start = [], G
    for _ in range(64):
        row, point = [], INFINITY
        for _ in range(15):
            point = add_affine(point, start)
            row.append(affine(point))
        rows.append(row)
        start = affine(add_affine(point, start))
    return rows


@lru_cache(maxsize=None)
def mul_base(k):
    """k times G, affine or None."""
    k %= N
    total = INFINITY
    for row in base_table():
        digit = k & 15
        if digit:
            total = add_affine(total, row[digit - 1])
        k >>= 4
    return affine(total)


@lru_cache(maxsize=None)
def mul(k, point):
    """k times an affine point, affine or None."""
    total = INFINITY
    for bit in bin(k % N)[2:]:
        total = double(total)
        if bit == "1":
            total = add_affine(total, point)
    return affine(total)


def add(a, b):
    """Sum of two affine points, either of which may be None."""
    if a is None or b is None:
        return b if a is None else a
    return affine(add_affine((a[0], a[1], 1), b))


def lift_x(x_bytes):
    """The point with this x and an even y, None where there is none."""
    x = int.from_bytes(x_bytes, "big")
    if x >= P:
        return None
    square = (pow(x, 3, P) + 7) % P
    y = pow(square, (P + 1) // 4, P)
    if y * y % P != square:
        return None
    return x, (y if y % 2 == 0 else P - y)


def be32(n):
    return n.to_bytes(32, "big")


def tagged_hash(tag, data):
    t = hashlib.sha256(tag.encode()).digest()
    return hashlib.sha256(t + t + data).digest()


def public_key(priv):
    """x-only public key of a 32-byte private key."""
    return be32(mul_base(int.from_bytes(priv, "big"))[0])


def even_secret(priv):
    """The secret whose public point has an even y, and that point."""
    d = int.from_bytes(priv, "big")
    if not 1 <= d < N:
        raise ValueError("private key out of range")
    point = mul_base(d)
    return (d, point) if point[1] % 2 == 0 else (N - d, (point[0], P - point[1]))


@lru_cache(maxsize=None)
def sign(priv, message, aux=bytes(32)):
    """BIP-340 signature; the auxiliary randomness is zero unless given."""
    d, point = even_secret(priv)
    pub = be32(point[0])
    t = be32(d ^ int.from_bytes(tagged_hash("BIP0340/aux", aux), "big"))
    k = int.from_bytes(tagged_hash("BIP0340/nonce", t + pub + message), "big") % N
    r_point = mul_base(k)
    if r_point[1] % 2:
        k = N - k
    r = be32(r_point[0])
    return r + be32((k + challenge(r, pub, message) * d) % N)


def challenge(r, pub, message):
    return int.from_bytes(tagged_hash("BIP0340/challenge", r + pub + message), "big") % N


@lru_cache(maxsize=None)
def verify(pub, message, signature):
    """BIP-340 verification."""
    point = lift_x(pub)
    if point is None or len(signature) != 64:
        return False
    r, s = signature[:32], int.from_bytes(signature[32:], "big")
    if int.from_bytes(r, "big") >= P or s >= N:
        return False
    e = challenge(r, pub, message)
    found = add(mul_base(s), mul(N - e, point))
    return found is not None and found[1] % 2 == 0 and be32(found[0]) == r
