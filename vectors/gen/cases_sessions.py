"""Cases of session tokens and of the encrypted transport."""

from . import aead
from . import protocol as p
from . import secp256k1 as ec
from .json_text import jcs
from .sources import SEQ, SEQ_PRIV, T0, case, digest, hex_of, no_curve_x, priv, pub

EXPIRES = T0 // 1000 + 3600
ENCLAVE = hex_of("session enclave")


def made(name, expires=EXPIRES, seq_pub=SEQ):
    return p.make_session(priv(name), seq_pub, expires)


def session():
    rows = [case(f"key_{i}", priv=priv(f"session {i}"), seq_pub=SEQ, expires=EXPIRES + i) for i in range(40)]
    for name, expires in (("expires_0", 0), ("expires_max", 2**32 - 1)):
        rows.append(case(name, priv=priv("session 0"), seq_pub=SEQ, expires=expires))
    return rows


def by_parity(odd):
    """A name whose session has an s·G of this parity."""
    return next(f"session {i}" for i in range(40) if made(f"session {i}")["sG_has_odd_y"] == odd)


def forged(name, r_scalar):
    """A token of the encrypted form made from public data alone (reference: the attack C1)."""
    r = ec.be32(ec.mul_base(r_scalar)[0])
    author = bytes.fromhex(pub(name))
    message = p.session_message(EXPIRES, SEQ)
    return (r + p.public_session_key(r, author, message) + EXPIRES.to_bytes(4, "big")).hex()


def session_check():
    rows = []
    for odd in (False, True):
        name, label = by_parity(odd), "odd" if odd else "even"
        token = made(name)
        for form, other in (("plain", "encrypted"), ("encrypted", "plain")):
            rows.append((f"{form}_{label}", None, token[f"token_{form}"], name, T0, form))
            rows.append((f"{form}_as_{other}_{label}", "invalid_session", token[f"token_{form}"], name, T0, other))
    token, name = made("dora"), "dora"
    for form in ("plain", "encrypted"):
        good = token[f"token_{form}"]
        rows += [
            (f"{form}_last_moment", None, good, name, EXPIRES * 1000 + 60_000, form),
            (f"{form}_one_ms_later", "session_expired", good, name, EXPIRES * 1000 + 60_001, form),
            (f"{form}_long_expired", "session_expired", good, name, EXPIRES * 1000 + 10**9, form),
            (f"{form}_furthest", None, good, name, EXPIRES * 1000 - 7_260_000, form),
            (f"{form}_one_ms_further", "invalid_session", good, name, EXPIRES * 1000 - 7_260_001, form),
            (f"{form}_of_another", "invalid_session", good, "emil", T0, form),
            (f"{form}_of_another_and_expired", "invalid_session", good, "emil", EXPIRES * 1000 + 60_001, form),
            (f"{form}_for_another_node", "invalid_session", made(name, seq_pub=pub("dora"))[f"token_{form}"], name, T0, form),
            (f"{form}_expires_changed", "invalid_session", good[:128] + (EXPIRES + 1).to_bytes(4, "big").hex(), name, T0, form),
            (f"{form}_longer", "invalid_session", good + "00", name, T0, form),
            (f"{form}_empty", "invalid_session", "", name, T0, form),
            (f"{form}_upper", "invalid_session", good.upper(), name, T0, form),
            (f"{form}_r_off_the_curve", "invalid_session", no_curve_x("r").hex() + good[64:], name, T0, form),
            (f"{form}_r_is_p", "invalid_session", ec.be32(ec.P).hex() + good[64:], name, T0, form),
        ]
    rows += [
        ("forged_plain", "invalid_session", forged("dora", 1), "dora", T0, "plain"),
        ("forged_passes_the_public_check_only", None, forged("dora", 5), "dora", T0, "encrypted"),
    ]
    return [
        case(name, {"error": error}, **{"from": pub(author)}, token=text, seq_pub=SEQ, now=now, form=form)
        for name, error, text, author, now, form in rows
    ]


def transport_input(name, request, response, label):
    token = made(name)
    return {
        "token": token["token_encrypted"],
        "from": pub(name),
        "session_priv": token["session_priv"],
        "seq_priv": SEQ_PRIV,
        "enclave": ENCLAVE,
        "nonce_query": digest(f"query nonce {label}")[:24].hex(),
        "query": jcs({"time": T0, "request": request}),
        "nonce_response": digest(f"response nonce {label}")[:24].hex(),
        "response": jcs(response),
    }


def messages():
    query = {"type": "Query", "filter": {"type": ["Message", "Own"], "limit": 5}}
    event = {"content": "žluť 🐎", "seq": 3}
    pull = {"type": "Pull", "push_seq": {"start_after": 4}}
    state = {"action": "state", "namespace": 0, "key": pub("dora")}
    refused = {"error": "unauthorized", "message": "You may not do this here."}
    return [
        (query, {"type": "Response", "events": [event] * 3, "next": 3}),
        (pull, {"type": "Response", "deliveries": []}),
        (state, {"proof": {"k": "00" * 21, "v": None, "b": "00" * 21, "s": []}}),
        ({"type": "Query", "filter": {"tags": [["k", "x" * 300]]}}, refused),
    ]


def transport():
    rows = []
    for index in range(12):
        request, response = messages()[index % 4]
        name = f"session {index}"
        parity = "odd" if made(name)["sG_has_odd_y"] else "even"
        rows.append(case(f"key_{index}_{parity}", **transport_input(name, request, response, index)))
    # Lengths around the blocks of ChaCha20 (64) and Poly1305 (16).
    for size in (1, 15, 16, 17, 63, 64, 65, 128, 1000):
        given = transport_input("dora", {}, {}, f"length {size}")
        rows.append(case(f"length_{size}", **{**given, "query": "q" * size, "response": "r" * size}))
    return rows


def flip(data, at):
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def transport_refused():
    key, other, nonce = digest("aead key"), digest("other aead key"), digest("aead nonce")[:24]
    ad, text = b"enc:query" + digest("ad"), b"some request"
    sealed = aead.seal(key, nonce, text, ad)
    rows = {
        "opens": (True, key, nonce, sealed, ad),
        "empty_text_opens": (True, key, nonce, aead.seal(key, nonce, b"", ad), ad),
        "other_key": (False, other, nonce, sealed, ad),
        "other_nonce": (False, key, flip(nonce, 0), sealed, ad),
        "other_end_of_nonce": (False, key, flip(nonce, 23), sealed, ad),
        "ad_cut": (False, key, nonce, sealed, ad[:-1]),
        "ad_empty": (False, key, nonce, sealed, b""),
        "ad_flipped": (False, key, nonce, sealed, flip(ad, 40)),
        "text_flipped": (False, key, nonce, flip(sealed, 0), ad),
        "tag_flipped": (False, key, nonce, flip(sealed, len(sealed) - 1), ad),
        "tag_only": (False, key, nonce, sealed[-16:], ad),
        "cut": (False, key, nonce, sealed[:-1], ad),
        "shorter_than_a_tag": (False, key, nonce, sealed[:15], ad),
        "empty": (False, key, nonce, b"", ad),
        "longer": (False, key, nonce, sealed + b"\0", ad),
    }
    return [
        case(name, {"opens": opens}, key=k.hex(), nonce=n.hex(), ciphertext=c.hex(), ad=a.hex())
        for name, (opens, k, n, c, a) in rows.items()
    ]


GROUPS = {
    "session": session,
    "session_check": session_check,
    "transport": transport,
    "transport_refused": transport_refused,
}
