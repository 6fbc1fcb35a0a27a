"""What the generated cases are made from: keys, hashes and texts that follow from a name."""

import hashlib

from . import protocol as p
from . import secp256k1 as ec

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z, in milliseconds


def digest(name):
    return hashlib.sha256(f"generated {name}".encode()).digest()


def hex_of(name):
    return digest(name).hex()


def priv(name):
    """A private key that follows from a name, as hex."""
    return ec.be32(int.from_bytes(digest(f"key {name}"), "big") % (ec.N - 1) + 1).hex()


def pub(name):
    return p.pub_hex(priv(name))


SEQ_PRIV = priv("sequencer")
SEQ = pub("sequencer")

# Where a commit is to be signed whose author a case names by public key alone, and for the node that sequences it, keys
# are one byte 32 times, as in enc-vectors.json: a reader of the vectors finds the private key by trying 255 bytes.
NODE_PRIV = "44" * 32
NODE = p.pub_hex(NODE_PRIV)


def byte_priv(byte):
    return bytes([byte] * 32).hex()


def byte_pub(byte):
    return p.pub_hex(byte_priv(byte))


def case(name, must=None, **given):
    """One case: `given` is its input; `must` is what the computed `expected` has to contain (`...`: with any
    value), so that a case meant to be refused cannot turn into an accepted one unseen."""
    return name, given, must or {}


def no_curve_x(name):
    """32 bytes in the field that are the x of no point."""
    for step in range(100):
        x = digest(f"{name} {step}")
        if ec.lift_x(x) is None:
            return x
    raise ValueError("no such x among a hundred")
