"""Cases of commits, events, receipts, evidence, enclave ids and manifest templates."""

import json
import pathlib

from . import protocol as p
from .sources import SEQ, SEQ_PRIV, T0, case, digest, hex_of, priv, pub

TEMPLATES = pathlib.Path(__file__).parent.parent / "templates"
MAX = 2**53 - 1
ENCLAVE = hex_of("some enclave")


def load_template(name):
    return json.loads((TEMPLATES / f"{name}.json").read_text())


def commit_inputs():
    long_tags = [["t" + str(i), "v" * 20] for i in range(256)]
    return {
        "plain": ("dora", "Message", "hi there", T0, []),
        "without_tags": ("dora", "Message", "hi there", T0, None),
        "one_letter_type": ("emil", "x", {"a": [1, 2]}, T0 + 1, [["k"]]),
        "longest_type": ("emil", "Z" * 64, True, 1, [["r", hex_of("r")], ["nonce", "00"]]),
        "dotted_type": ("emil", "app.v1-2_x", -5, T0, [["a", "b", "c"], ["a", "b"]]),
        "sixteen_strings": ("dora", "t", [], T0, [[str(i) for i in range(16)]]),
        "tag_of_1_kib": ("dora", "t", {}, T0, [["k", "é" * 512]]),
        "tags_256": ("dora", "t", None, T0, long_tags),
        "empty_strings_in_tags": ("dora", "t", "", T0, [[""], ["", ""]]),
        "astral": ("dora", "t", {"😀": "\ufeff"}, T0, [["😀", "\u0001"]]),
        "far_exp": ("dora", "t", 0, MAX - 1, []),
        "escapes": ("dora", "t", "\"\\\b\f\n\r\t\u001f\u007f/", T0, []),
        "order_of_members": ("dora", "t", {"b": 1, "\ue000": 2, "😀": 3, "a": {"d": 4, "c": 5}}, T0, []),
    }


def commit():
    rows = []
    for name, (author, kind, content, exp, tags) in commit_inputs().items():
        given = {"priv": priv(author), "enclave": ENCLAVE, "from": pub(author), "type": kind, "content": content, "exp": exp}
        rows.append(case(name, **given, **({} if tags is None else {"tags": tags})))
    return rows


def a_commit(name="some event", exp=T0 + 60_000, tags=(("k", "v"),)):
    return p.sign_commit(priv("dora"), ENCLAVE, "Message", {"text": name}, exp, [list(t) for t in tags])


def event():
    rows = []
    places = [(0, 0, T0, "00" * 32), (1, 0, T0 + 5, hex_of("prev")), (23, 22, T0, hex_of("p")), (24, 24, T0, hex_of("p")),
              (255, 256, T0, hex_of("p")), (65535, 65536, T0, hex_of("p")), (MAX, MAX, MAX, hex_of("p"))]
    for seq, type_seq, timestamp, prev in places:
        for label, made in (("tags", a_commit()), ("none", a_commit(tags=()))):
            given = {"commit": made, "seq": seq, "type_seq": type_seq, "timestamp": timestamp, "prev": prev}
            rows.append(case(f"seq_{seq}_type_seq_{type_seq}_{label}", sequencer_priv=SEQ_PRIV, **given))
    return rows


def an_event(name="some event", seq=3, type_seq=1, timestamp=T0, prev=None, exp=T0 + 60_000, sequencer=SEQ_PRIV):
    return p.sequence(a_commit(name, exp), sequencer, seq, type_seq, timestamp, prev or hex_of("prev"))


def receipt():
    good = p.receipt_of(an_event())
    other = p.receipt_of(an_event(sequencer=priv("other sequencer")))
    rows = [case("holds", {"valid": True}, receipt=good, sequencer=SEQ)]
    changes = {
        "seq": 4, "type_seq": 2, "timestamp": T0 + 1, "prev": hex_of("other"), "alg": "schnorr2", "id": hex_of("other"),
        "hash": hex_of("other"), "sig": hex_of("a") + hex_of("b"), "seq_sig": good["sig"], "sequencer": pub("dora"),
    }
    for member, value in changes.items():
        rows.append(case(f"other_{member}", {"valid": False}, receipt={**good, member: value}, sequencer=SEQ))
    rows.append(case("of_a_key_not_pinned", {"valid": False}, receipt=other, sequencer=SEQ))
    # A later signature by the same key over the same hash would give another id: `id` follows from this one.
    return rows + [case("of_the_other_key", {"valid": True}, receipt=other, sequencer=pub("other sequencer"))]


def equivocation():
    first = an_event()
    later = an_event(timestamp=T0 + 1)
    pairs = {
        "two_times": (True, first, later),
        "two_counts": (True, first, an_event(type_seq=2)),
        "two_contents": (True, first, an_event("another event")),
        "two_pasts": (True, first, an_event(prev=hex_of("other past"))),
        "itself": (False, first, first),
        "another_seq": (False, first, an_event(seq=4)),
        "another_key": (False, first, an_event("another event", sequencer=priv("other sequencer"))),
        "second_unsigned": (False, first, {**later, "seq_sig": first["seq_sig"]}),
        "first_id_changed": (False, {**first, "id": hex_of("other")}, later),
    }
    rows = [
        case(name, {"evidence": evidence}, a=p.receipt_of(a), b=p.receipt_of(b))
        for name, (evidence, a, b) in pairs.items()
    ]
    a, b = p.receipt_of(first), p.receipt_of(later)
    return rows + [case("another_enclave", {"evidence": False}, a=a, b={**b, "enclave": hex_of("elsewhere")})]


def deleted(event):
    kept = {k: v for k, v in event.items() if k != "content"}
    return {**kept, "content_hash": p.content_hash(event["content"]).hex(), "deleted": True}


def deleted_event():
    gone = deleted(an_event())
    return [
        case("holds", {"valid": True}, event=gone, sequencer=SEQ),
        case("content_hash_of_another", {"valid": False}, event={**gone, "content_hash": hex_of("x")}, sequencer=SEQ),
        case("under_another_key", {"valid": False}, event=gone, sequencer=pub("other sequencer")),
    ]


def event_window():
    rows = []
    for name, valid, offset in (
        ("at_exp", True, 0), ("first_moment", True, -3_600_000), ("last_moment", True, 60_000),
        ("before_the_first", False, -3_600_001), ("after_the_last", False, 60_001),
    ):
        rows.append(case(name, {"valid": valid}, event=an_event(timestamp=T0 + offset, exp=T0), sequencer=SEQ))
    return rows


def enclave_id():
    content = load_template("open")
    rows = [case("template_as_it_stands", **{"from": pub("dora")}, content=content, tags=[])]
    first, second = ["nonce", "01"], ["nonce", "02"]
    for name, tags in (("nonce", [["nonce", "00112233"]]), ("two", [first, second]), ("other_order", [second, first])):
        rows.append(case(name, **{"from": pub("dora")}, content={"enc_v": 2, "sequencer": SEQ}, tags=tags))
    rows.append(case("other_author", **{"from": pub("emil")}, content={"enc_v": 2, "sequencer": SEQ}, tags=[["nonce", "01"]]))
    return rows


def template():
    rows = []
    for name in ("personal", "dm", "group", "open"):
        for tags in ([], [["nonce", digest(f"nonce {name}")[:16].hex()]]):
            given = {"template": load_template(name), "sequencer": SEQ, "from": pub("dora"), "tags": tags}
            rows.append(case(f"{name}{'_nonce' if tags else ''}", **given))
    return rows


def push_body(**members):
    event = an_event(seq=9)
    body = {"push_seq": 7, "enclave": ENCLAVE, "to": "https://push.example.net/in?a=1", "time": T0, "from_seq": 9,
            "events": [event], "seq_pub": SEQ}
    body.update(members)
    return {k: v for k, v in body.items() if v is not None}


def notify():
    event = an_event(seq=9)
    return [{"id": event["id"], "seq": 9, "type": "Message"}, {"id": hex_of("x"), "seq": 11, "type": "😀"}]


def push():
    return [
        case("one_event", body=push_body(), priv=SEQ_PRIV),
        case("two_events", body=push_body(events=[an_event(seq=9), deleted(an_event(seq=10))]), priv=SEQ_PRIV),
        case("notify_two", body=push_body(events=None, notify=notify()), priv=SEQ_PRIV),
    ]


def signed_push(signer=SEQ_PRIV, **members):
    body = push_body(**members)
    return {**body, "sig": p.sign_hex(signer, p.push_message(body))}


def push_receiver():
    url, good = push_body()["to"], signed_push()
    thief = priv("thief")
    bad_event = {**an_event(seq=9), "content": {"text": "other"}}
    rows = {
        "good": (True, good, url, T0),
        "notify": (True, signed_push(events=None, notify=notify()), url, T0),
        "five_minutes_old": (True, good, url, T0 + 300_000),
        "five_minutes_early": (True, good, url, T0 - 300_000),
        "older": (False, good, url, T0 + 300_001),
        "earlier": (False, good, url, T0 - 300_001),
        "other_path": (False, good, "https://push.example.net/in?a=2", T0),
        "own_key_of_the_sender": (False, signed_push(thief, seq_pub=p.pub_hex(thief)), url, T0),
        "signed_by_another": (False, signed_push(thief), url, T0),
        "event_altered": (False, signed_push(events=[bad_event]), url, T0),
        "event_under_another_key": (False, signed_push(events=[an_event(seq=9, sequencer=thief)]), url, T0),
        "time_changed": (False, {**good, "time": T0 + 1}, url, T0),
        "events_dropped": (False, {**good, "events": []}, url, T0),
    }
    return [
        case(name, {"valid": valid}, body=body, seq_pub_of_the_manifest=SEQ, own_url=own, now=now)
        for name, (valid, body, own, now) in rows.items()
    ]


GROUPS = {
    "commit": commit,
    "event": event,
    "receipt": receipt,
    "equivocation": equivocation,
    "deleted_event": deleted_event,
    "event_window": event_window,
    "enclave_id": enclave_id,
    "template": template,
    "push": push,
    "push_receiver": push_receiver,
}
