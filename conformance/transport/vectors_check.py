"""Holds the envelope against the vectors' groups about sessions and transport."""

import json

import coincurve
from envelope import Channel, Mismatch, Session, open_sealed, seal


def check(path):
    """How many cases of a vectors file were recomputed; raises Mismatch at the first that comes out otherwise."""
    groups = json.loads(path.read_text(encoding="utf-8"))["groups"]
    count = 0
    for group, judge in (("session", session), ("transport", transport), ("transport_refused", transport_refused)):
        for case in groups[group]:
            got = judge(case["input"])
            if got != case["expected"]:
                raise Mismatch(f"{group}/{case['name']}: computed {got}, expected {case['expected']}")
            count += 1
    return count


def session(i):
    made = Session(bytes.fromhex(i["priv"]), bytes.fromhex(i["seq_pub"]), i["expires"])
    return {
        "message": made.message.hex(),
        "token_plain": made.plain_token.hex(),
        "token_encrypted": made.token.hex(),
        "sG_has_odd_y": made.odd,
        "session_priv": made.private.hex(),
        "session_pub": made.public.hex(),
    }


def transport(i):
    seq_pub = coincurve.PrivateKey(bytes.fromhex(i["seq_priv"])).public_key.format()[1:]
    priv, token, author, enclave = (bytes.fromhex(i[name]) for name in ("session_priv", "token", "from", "enclave"))
    channel = Channel(priv, token, author, seq_pub, enclave)
    nonce, nonce_response = bytes.fromhex(i["nonce_query"]), bytes.fromhex(i["nonce_response"])
    query = channel.seal(i["query"].encode(), nonce)[1]
    ad_response = channel.response_ad(nonce)
    response = seal(channel.key_response, nonce_response, i["response"].encode(), ad_response)
    body = {"nonce": nonce_response.hex(), "ciphertext": response.hex()}
    if channel.open_answer(body, nonce) != i["response"].encode():
        raise Mismatch("an answer opens as something else")
    return {
        "w": channel.w.hex(),
        "client_key": channel.client_key.hex(),
        "shared_x": channel.shared_x.hex(),
        "salt": channel.salt.hex(),
        "key_query": channel.key_query.hex(),
        "key_response": channel.key_response.hex(),
        "ad_query": channel.query_ad().hex(),
        "ciphertext_query": query.hex(),
        "ad_response": ad_response.hex(),
        "ciphertext_response": response.hex(),
    }


def transport_refused(i):
    try:
        open_sealed(*(bytes.fromhex(i[name]) for name in ("key", "nonce", "ciphertext", "ad")))
    except Mismatch:
        return {"opens": False}
    return {"opens": True}
