"""Holds this implementation against vectors that others made, case by case."""

from . import ed25519
from . import secp256k1 as ec
from .replays import recompute

# The signing vectors of BIP-340 with the auxiliary randomness that they name: key, message, aux, signature.
BIP340 = (
    ("03".zfill(64), "00" * 32, "00" * 32,
     "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca8215"
     "25f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0"),
    ("b7e151628aed2a6abf7158809cf4f3c762e7160f38b4da56a784d9045190cfef",
     "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89", "01".zfill(64),
     "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de3341"
     "8906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6de339e4b0a"),
    ("c90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b14e5c9",
     "7e2d58d8b3bcdf1abadec7829054f90dda9805aab56c77333024b9d0a508b75c",
     "c87aa53824b4d7ae2eb035a2b5bbbccc080e76cdc6d1692c4b0b62d798e6d906",
     "5831aaeed7b44bb74e5eab94ba9d4294c49bcf2a60728d8b4c200f50dd313c1b"
     "ab745879a5ad954a72c45a91c3a51d3c7adea98d82f8481e0e1e03674a6f3fb7"),
    ("0b432b2677937381aef05bb02a66ecd012773062cf3fa2549e44f58ed2401710", "ff" * 32, "ff" * 32,
     "7eb0509757e246f19449885651611cb965ecc1a187dd51b64fda1edc9637d5ec"
     "97582b9cb13db3933705b32ba982af5af25fd78881ebb32771fc5922efc66ea3"),
)
# RFC 8032 section 7.1, tests 1 and 2: seed, public key, message, signature.
RFC8032 = (
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
     "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
     "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
)


def differences(groups):
    """Lines that name each case where this implementation answers otherwise."""
    found = [*standards()]
    for group, cases in groups.items():
        for case in cases:
            try:
                got = recompute(groups, group, case)
            except Exception as failure:  # any failure is a disagreement to report, whatever its kind
                got = f"{type(failure).__name__}: {failure}"
            if got != case["expected"]:
                found.append(f"{group}/{case['name']}: computed {shorten(got)}, given {shorten(case['expected'])}")
    return found


def shorten(value):
    text = repr(value)
    return text if len(text) <= 600 else text[:600] + "…"


def standards():
    for number, (priv, message, aux, sig) in enumerate(BIP340):
        if ec.sign(*map(bytes.fromhex, (priv, message, aux))).hex() != sig:
            yield f"BIP-340 vector {number}"
    for number, (seed, pub, message, sig) in enumerate(RFC8032):
        seed, message = bytes.fromhex(seed), bytes.fromhex(message)
        if (ed25519.public_key(seed).hex(), ed25519.sign(seed, message).hex()) != (pub, sig):
            yield f"RFC 8032 test {number + 1}"
        if not ed25519.verify(bytes.fromhex(pub), message, bytes.fromhex(sig)):
            yield f"RFC 8032 test {number + 1}, verification"
