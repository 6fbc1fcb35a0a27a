"""Commits, events, receipts, heads and sessions of enc.md sections 2, 5 and 6, over the JSON shapes of the protocol."""

import base64
import re

from . import aead, ed25519
from . import secp256k1 as ec
from .json_text import jcs
from .trees import H, log_leaf, sha256

SKEW_MS = 60_000
MAX_EXP_AHEAD_MS = 3_600_000
MAX_SESSION_AHEAD_MS = 7_260_000
PUSH_WINDOW_MS = 300_000

COMMIT_MEMBERS = ("hash", "enclave", "from", "type", "content", "exp", "sig", "tags", "alg")
RECEIPT_MEMBERS = (
    "id", "hash", "enclave", "alg", "seq", "type_seq", "timestamp", "prev", "sequencer", "sig", "seq_sig",
)


def be64(n):
    return n.to_bytes(8, "big")


def pub_hex(priv_hex):
    return ec.public_key(bytes.fromhex(priv_hex)).hex()


def is_public_key(text):
    return bool(re.fullmatch("[0-9a-f]{64}", text)) and ec.lift_x(bytes.fromhex(text)) is not None


def sign_hex(priv_hex, message):
    return ec.sign(bytes.fromhex(priv_hex), message).hex()


def signed_by(pub_text, message, sig_text):
    return ec.verify(bytes.fromhex(pub_text), message, bytes.fromhex(sig_text))


# --- commit and event


def content_hash(content):
    return sha256(jcs(content).encode())


def content_hash_of(event):
    """Also of an event whose content was deleted: then the hash itself is served."""
    return content_hash(event["content"]) if "content" in event else bytes.fromhex(event["content_hash"])


def commit_hash(commit):
    return H(
        0x10,
        bytes.fromhex(commit["enclave"]),
        bytes.fromhex(commit["from"]),
        commit["type"],
        content_hash_of(commit),
        commit["exp"],
        commit.get("tags", []),
    )


def sign_commit(priv_hex, enclave, kind, content, exp, tags=None):
    """A whole commit; `tags` is left out of it where it is None."""
    commit = {"enclave": enclave, "from": pub_hex(priv_hex), "type": kind, "content": content, "exp": exp}
    if tags is not None:
        commit["tags"] = tags
    digest = commit_hash(commit)
    return {**commit, "hash": digest.hex(), "sig": sign_hex(priv_hex, digest)}


def event_hash(event):
    """Of an event or of a receipt: both name every hashed member."""
    return H(
        0x11,
        bytes.fromhex(event["hash"]),
        bytes.fromhex(event["sig"]),
        event["alg"],
        event["seq"],
        event["type_seq"],
        event["timestamp"],
        bytes.fromhex(event["prev"]),
        bytes.fromhex(event["sequencer"]),
    )


def sequence(commit, seq_priv, seq, type_seq, timestamp, prev):
    """The event that a sequencer makes of a commit (of which, once deleted, only the `content_hash` may be known)."""
    event = {
        **{m: commit[m] for m in (*COMMIT_MEMBERS, "content_hash") if m in commit},
        "tags": commit.get("tags", []),
        "alg": commit.get("alg", "schnorr"),
        "seq": seq,
        "type_seq": type_seq,
        "timestamp": timestamp,
        "prev": prev,
        "sequencer": pub_hex(seq_priv),
    }
    seq_sig = ec.sign(bytes.fromhex(seq_priv), event_hash(event))
    return {**event, "seq_sig": seq_sig.hex(), "id": sha256(seq_sig).hex()}


def receipt_of(event):
    return {"type": "Receipt", **{m: event[m] for m in RECEIPT_MEMBERS}}


def receipt_holds(receipt, sequencer):
    """The sequencer's part of a receipt or an event, under the key that the caller pinned."""
    return (
        receipt["sequencer"] == sequencer
        and receipt["alg"] == "schnorr"
        and signed_by(sequencer, event_hash(receipt), receipt["seq_sig"])
        and sha256(bytes.fromhex(receipt["seq_sig"])).hex() == receipt["id"]
    )


def in_window(event):
    return event["exp"] - MAX_EXP_AHEAD_MS <= event["timestamp"] <= event["exp"] + SKEW_MS


def event_holds(event, sequencer):
    digest = commit_hash(event)
    return (
        digest.hex() == event["hash"]
        and signed_by(event["from"], digest, event["sig"])
        and in_window(event)
        and receipt_holds(event, sequencer)
    )


def chain_holds(events):
    """Whether events, oldest first, are a history from the Manifest on without a gap."""
    prev = bytes(32)
    for seq, event in enumerate(events):
        if event["seq"] != seq or event["prev"] != prev.hex():
            return False
        prev = event_hash(event)
    return True


def enclave_id(author, content, tags):
    return H(0x12, bytes.fromhex(author), "Manifest", content_hash(content), tags).hex()


# --- tree heads


def sth_message(enclave, timestamp, tree_size, root_hash):
    return sha256(
        b"enc:sth:" + bytes.fromhex(enclave) + be64(timestamp) + be64(tree_size) + bytes.fromhex(root_hash)
    )


def sign_sth(priv_hex, enclave, timestamp, tree_size, root_hash):
    return {
        "enclave": enclave,
        "timestamp": timestamp,
        "tree_size": tree_size,
        "root_hash": root_hash,
        "sequencer": pub_hex(priv_hex),
        "signature": sign_hex(priv_hex, sth_message(enclave, timestamp, tree_size, root_hash)),
    }


def sth_holds(sth):
    message = sth_message(sth["enclave"], sth["timestamp"], sth["tree_size"], sth["root_hash"])
    return signed_by(sth["sequencer"], message, sth["signature"])


def b64(data):
    return base64.b64encode(data).decode()


def key_id(name, kind, key):
    return sha256(name.encode() + b"\n" + kind + key)[:4]


def log_seed(priv_hex, enclave):
    return aead.hkdf(bytes.fromhex(priv_hex), b"", b"enc/log-key/v1" + bytes.fromhex(enclave))


def log_vkey(priv_hex, enclave):
    name, key = f"enc/{enclave}", ed25519.public_key(log_seed(priv_hex, enclave))
    return f"{name}+{key_id(name, ED25519_KIND, key).hex()}+{b64(ED25519_KIND + key)}"


ED25519_KIND = b"\x01"
BIP340_KIND = b"\xffenc/bip340/v1"


def checkpoint(priv_hex, enclave, tree_size, root_hash):
    """Text, signed note, and the key id of its first line."""
    name = f"enc/{enclave}"
    text = f"{name}\n{tree_size}\n{b64(bytes.fromhex(root_hash))}\n"
    first_id = key_id(name, BIP340_KIND, bytes.fromhex(pub_hex(priv_hex)))
    first = ec.sign(bytes.fromhex(priv_hex), sha256(b"enc:checkpoint:" + text.encode()))
    seed = log_seed(priv_hex, enclave)
    second_id = key_id(name, ED25519_KIND, ed25519.public_key(seed))
    second = ed25519.sign(seed, text.encode())
    lines = "".join(f"— {name} {b64(i + s)}\n" for i, s in ((first_id, first), (second_id, second)))
    return text, f"{text}\n{lines}", first_id.hex()


def head_entry(enclave, tree_size, root_hash):
    """The heads log's entry for one enclave."""
    return sha256(b"enc:head:" + bytes.fromhex(enclave)) + be64(tree_size) + bytes.fromhex(root_hash)


def head_case(enclave, tree_size, root_hash):
    entry = head_entry(enclave, tree_size, root_hash)
    return {"entry": entry.hex(), "leaf": log_leaf(entry).hex()}


# --- sessions


def session_message(expires, seq_pub):
    return sha256(b"enc:session:" + expires.to_bytes(4, "big") + bytes.fromhex(seq_pub))


def make_session(priv_hex, seq_pub, expires):
    message = session_message(expires, seq_pub)
    sig = ec.sign(bytes.fromhex(priv_hex), message)
    s = int.from_bytes(sig[32:], "big")
    point = ec.mul_base(s)
    odd = point[1] % 2 == 1
    tail = expires.to_bytes(4, "big")
    return {
        "message": message.hex(),
        "token_plain": (sig + tail).hex(),
        "token_encrypted": (sig[:32] + ec.be32(point[0]) + tail).hex(),
        "sG_has_odd_y": odd,
        "session_priv": ec.be32(ec.N - s if odd else s).hex(),
        "session_pub": ec.be32(point[0]).hex(),
    }


def public_session_key(r, author, message):
    """x(R + e·P): what anyone can compute of a session; None where a lift fails or the sum is infinite."""
    big_r, point = ec.lift_x(r), ec.lift_x(author)
    if big_r is None or point is None:
        return None
    found = ec.add(big_r, ec.mul(ec.challenge(r, author, message), point))
    return found and ec.be32(found[0])


def session_error(token, author, seq_pub, now, form):
    """The code that a token earns in a plain or an encrypted request, None where it is good. For the encrypted form
    this is the check before the AEAD, which alone proves nothing."""
    if not re.fullmatch("[0-9a-f]{136}", token) or not re.fullmatch("[0-9a-f]{64}", author):
        return "invalid_session"
    raw, author = bytes.fromhex(token), bytes.fromhex(author)
    expires = int.from_bytes(raw[64:], "big")
    message = session_message(expires, seq_pub)
    if form == "plain":
        good = ec.verify(author, message, raw[:64])
    else:
        good = public_session_key(raw[:32], author, message) == raw[32:64]
    if not good or expires * 1000 > now + MAX_SESSION_AHEAD_MS:
        return "invalid_session"
    return "session_expired" if expires * 1000 < now - SKEW_MS else None


# --- encrypted transport


def transport_keys(token, session_priv, seq_pub, enclave):
    """What the client computes: w, its key, the shared x, the salt and both AEAD keys."""
    session_pub, seq_pub, enclave = (bytes.fromhex(t) for t in (token[64:128], seq_pub, enclave))
    salt = session_pub + seq_pub + enclave
    w = int.from_bytes(sha256(salt), "big")
    client_key = (int.from_bytes(bytes.fromhex(session_priv), "big") + w) % ec.N
    shared = ec.be32(ec.mul(client_key, ec.lift_x(seq_pub))[0])
    return {
        "w": sha256(salt).hex(),
        "client_key": ec.be32(client_key).hex(),
        "shared_x": shared.hex(),
        "salt": salt.hex(),
        "key_query": aead.hkdf(shared, salt, b"enc:query").hex(),
        "key_response": aead.hkdf(shared, salt, b"enc:response").hex(),
    }


def node_shared_x(token, seq_priv, enclave):
    """What the node computes, from the other side: x of d·(lift_x(session_pub) + w·G)."""
    seq_secret, seq_point = ec.even_secret(bytes.fromhex(seq_priv))
    session_pub = bytes.fromhex(token[64:128])
    w = int.from_bytes(sha256(session_pub + ec.be32(seq_point[0]) + bytes.fromhex(enclave)), "big")
    point = ec.add(ec.lift_x(session_pub), ec.mul_base(w % ec.N))
    return ec.be32(ec.mul(seq_secret, point)[0]).hex()


def query_ad(enclave, author, token):
    return b"enc:query" + bytes.fromhex(enclave + author + token)


def response_ad(query_nonce):
    return b"enc:response" + bytes.fromhex(query_nonce)


# --- push


def push_message(body):
    return sha256(b"enc:push:" + jcs({k: v for k, v in body.items() if k != "sig"}).encode())


def push_holds(body, seq_pub, own_url, now):
    """A receiver's judgement, with the key from the enclave's own chain of sequencers."""
    return (
        body["to"] == own_url
        and abs(now - body["time"]) <= PUSH_WINDOW_MS
        and body["seq_pub"] == seq_pub
        and signed_by(seq_pub, push_message(body), body["sig"])
        and all(event_holds(event, seq_pub) for event in body.get("events", []))
    )


def equivocation(a, b):
    """Two receipts of one key for one (enclave, seq) over different event hashes."""
    return (
        receipt_holds(a, a["sequencer"])
        and receipt_holds(b, a["sequencer"])
        and (a["enclave"], a["seq"]) == (b["enclave"], b["seq"])
        and event_hash(a) != event_hash(b)
    )


def sth_equivocation(a, b):
    same = all(a[m] == b[m] for m in ("enclave", "tree_size", "sequencer"))
    return same and a["root_hash"] != b["root_hash"] and sth_holds(a) and sth_holds(b)
