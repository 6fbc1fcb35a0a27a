"""The encrypted transport of the protocol (sessions, section 6) over libsecp256k1 and libsodium.

It shares no code with the project: what it opens was sealed by another implementation of the same text.
"""

import hashlib
import hmac
import re
import secrets

import coincurve
from nacl import bindings as sodium
from nacl.exceptions import CryptoError

N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
NONCE_BYTES = 24
TAG_BYTES = 16
ZERO_AUX = bytes(32)


class Mismatch(Exception):
    """The other side answered something that the protocol does not allow."""


def sha256(data):
    return hashlib.sha256(data).digest()


def be32(number):
    return number.to_bytes(32, "big")


def hkdf(ikm, salt, info):
    """HKDF-SHA-256 for one block of output, which is all that a key needs."""
    prk = hmac.digest(salt, ikm, "sha256")
    return hmac.digest(prk, info + b"\x01", "sha256")


def parse_hex(text, size, what):
    if not isinstance(text, str) or not re.fullmatch(f"[0-9a-f]{{{2 * size}}}", text):
        raise Mismatch(f"{what} is not {size} bytes of lower-case hex")
    return bytes.fromhex(text)


class Session:
    """A session of one identity for one sequencer key; `expires` in seconds since the epoch."""

    def __init__(self, priv, seq_pub, expires):
        key = coincurve.PrivateKey(priv)
        self.seq_pub = seq_pub
        self.author = key.public_key.format()[1:]
        self.message = sha256(b"enc:session:" + expires.to_bytes(4, "big") + seq_pub)
        signature = key.sign_schnorr(self.message, ZERO_AUX)
        point = coincurve.PrivateKey(signature[32:]).public_key.format()
        s = int.from_bytes(signature[32:], "big")
        self.odd = point[0] == 3
        self.private = be32(N - s if self.odd else s)
        self.public = point[1:]
        tail = expires.to_bytes(4, "big")
        self.plain_token = signature + tail
        self.token = signature[:32] + self.public + tail

    def channel(self, enclave):
        return Channel(self.private, self.token, self.author, self.seq_pub, enclave)


class Channel:
    """The keys of one session for one enclave; seals requests and opens their answers."""

    def __init__(self, session_priv, token, author, seq_pub, enclave):
        self.token, self.author, self.enclave = token, author, enclave
        self.salt = token[32:64] + seq_pub + enclave
        self.w = sha256(self.salt)
        secret = int.from_bytes(session_priv, "big") + int.from_bytes(self.w, "big")
        self.client_key = be32(secret % N)
        shared = coincurve.PublicKey(b"\x02" + seq_pub).multiply(self.client_key)
        self.shared_x = shared.format()[1:]
        self.key_query = hkdf(self.shared_x, self.salt, b"enc:query")
        self.key_response = hkdf(self.shared_x, self.salt, b"enc:response")

    def query_ad(self):
        return b"enc:query" + self.enclave + self.author + self.token

    @staticmethod
    def response_ad(query_nonce):
        return b"enc:response" + query_nonce

    def seal(self, plaintext, nonce=None):
        """A request's nonce and ciphertext."""
        nonce = nonce or secrets.token_bytes(NONCE_BYTES)
        return nonce, seal(self.key_query, nonce, plaintext, self.query_ad())

    def open_answer(self, body, query_nonce):
        """The plaintext of an answer to the query with this nonce; raises Mismatch."""
        if not isinstance(body, dict) or set(body) != {"nonce", "ciphertext"}:
            raise Mismatch("the answer has other members than nonce and ciphertext")
        nonce = parse_hex(body["nonce"], NONCE_BYTES, "the answer's nonce")
        if not isinstance(body["ciphertext"], str) or not re.fullmatch("([0-9a-f]{2})+", body["ciphertext"]):
            raise Mismatch("the answer's ciphertext is not lower-case hex")
        if nonce == query_nonce:
            raise Mismatch("the answer repeats the query's nonce")
        return open_sealed(self.key_response, nonce, bytes.fromhex(body["ciphertext"]), self.response_ad(query_nonce))

    def request_body(self, nonce, ciphertext):
        return {
            "enclave": self.enclave.hex(),
            "from": self.author.hex(),
            "session": self.token.hex(),
            "nonce": nonce.hex(),
            "ciphertext": ciphertext.hex(),
        }


def seal(key, nonce, plaintext, ad):
    return sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, ad, nonce, key)


def open_sealed(key, nonce, ciphertext, ad):
    if len(ciphertext) < TAG_BYTES:
        raise Mismatch("the ciphertext is shorter than its tag")
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, ad, nonce, key)
    except CryptoError:
        raise Mismatch("the ciphertext does not open") from None
