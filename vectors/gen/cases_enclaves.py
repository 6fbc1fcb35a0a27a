"""Whole enclaves by script, what refers to their logs, and snapshots to restore."""

import base64

from . import cbor, enclave, replays, trees
from . import protocol as p
from .cases_events import load_template
from .judges import fill_template
from .sources import NODE, NODE_PRIV, T0, byte_priv, case, hex_of, priv, pub

PEOPLE = ("alma", "bert", "cleo", "dirk", "edda", "finn")
KEYS = {**{name: byte_priv(byte) for byte, name in enumerate(PEOPLE, 0x61)}, "seq": NODE_PRIV}
ALMA, BERT, CLEO, DIRK, EDDA, FINN = (p.pub_hex(KEYS[name]) for name in PEOPLE)
NONCE = [["nonce", hex_of("nonce")[:32]]]


def script(*rows):
    """Rows of (author, type, content, seconds after the start[, tags])."""
    steps = []
    for author, kind, content, seconds, *tags in rows:
        step = {"from": author, "type": kind, "at": T0 + round(seconds * 1000), "content": content}
        steps.append({**step, "tags": tags[0]} if tags else step)
    return steps


def manifest_of(template, **members):
    return {**fill_template(load_template(template), NODE, ALMA), **members}


def manifest_of_group():
    return manifest_of("group", bundle={"size": 6, "timeout": 5000})


def move(target, to, **app):
    return {"target": target, "to": to, **app}


def trait(target, name):
    return {"target": target, "trait": name}


def group_script(content):
    """Every kind of event that the group template allows, over bundles that close by size and by time; at second 40
    the node's clock has stepped back."""
    ops = [
        {"type": "Gate", "content": {"alias": "applications", "open": False}},
        {"type": "Grant", "content": trait(EDDA, "dataview")},
        {"type": "Grant", "content": trait(CLEO, "admin")},
        {"type": "Revoke", "content": trait(CLEO, "admin")},
    ]
    return script(
        ("alma", "Manifest", content, 0, NONCE),
        ("alma", "Gate", {"alias": "applications", "open": True}, 0.5),
        ("dirk", "Move", move(DIRK, "PENDING", greeting="please"), 1),
        ("alma", "Move", move(DIRK, "MEMBER"), 1.5),
        ("alma", "Move", move(BERT, "MEMBER"), 2),
        ("alma", "Grant", trait(BERT, "admin"), 2.25),
        ("alma", "Gate", {"alias": "auto_join", "open": True}, 3),
        ("cleo", "Move", move(CLEO, "MEMBER"), 3.5),
        ("cleo", "message", "first draft", 4, [["lang", "en"], ["topic", "x", "y"]]),
        ("dirk", "message", {"text": "rude", "n": 1}, 4.1),
        ("bert", "reaction", "👍", 9, [["r", "$8"]]),
        ("cleo", "Update", "second draft", 9.5, [["r", "$8"]]),
        ("bert", "Shared", {"key": "topic", "value": {"t": "rules"}}, 13.999),
        ("alma", "Shared", {"key": "topic", "value": ["rules", None]}, 14),
        ("cleo", "Own", {"key": "profile", "value": "Cleo"}, 15),
        ("bert", "Own", {"key": "profile", "value": {"name": "Bert"}}, 16),
        ("bert", "Grant", trait(DIRK, "muted"), 17),
        ("bert", "Delete", {"why": "rude"}, 30, [["r", "$9"]]),
        ("cleo", "Own", {"key": "profile", "value": "Cleo C."}, 43),
        ("bert", "notice", "be kind", 40),
        ("alma", "AC_Bundle", {"ops": ops}, 44),
        ("bert", "Revoke", trait(DIRK, "muted"), 45),
        ("bert", "Grant", trait(DIRK, "muted"), 46),
        ("dirk", "Move", move(DIRK, "OUTSIDER"), 47),
        ("bert", "Move", move(DIRK, "BLOCKED"), 60),
        ("cleo", "Update", "third draft", 61, [["r", "$8"]]),
        ("cleo", "Delete", None, 62, [["r", "$8"]]),
        ("cleo", "Own", {"key": "profile", "value": None}, 63),
        ("cleo", "message", "stays", 64, [["lang", "en"]]),
        ("alma", "Transfer", trait(BERT, "owner"), 80),
        ("alma", "Revoke", trait(ALMA, "admin"), 81),
        ("bert", "Pause", {}, 82),
        ("bert", "Resume", {}, 83),
        ("alma", "Move", move(ALMA, "OUTSIDER"), 84),
        ("bert", "Shared", {"key": "topic", "value": None}, 84.5),
        ("bert", "Terminate", {}, 90),
    )


def dm_script(content):
    """The default bundle (256 events, 5 s): all closings by time, and an open bundle at the end."""
    return script(
        ("alma", "Manifest", content, 0),
        ("alma", "Gate", {"alias": "invites", "open": True}, 4.999),
        ("finn", "invite", "may I?", 5),
        ("alma", "Move", move(FINN, "FRIEND"), 12),
        ("finn", "message", "hello", 13),
        ("finn", "Update", "hello!", 14, [["r", "$4"]]),
        ("alma", "sent", {"to": FINN, "text": "hi"}, 16),
        ("alma", "Move", move(FINN, "BLOCKED"), 30),
        ("alma", "Gate", {"alias": "invites", "open": False}, 36),
    )


def open_script(content):
    return script(
        ("alma", "Manifest", content, 0),
        ("alma", "Move", move(BERT, "MEMBER"), 1),
        ("bert", "Message", "one", 2),
        ("alma", "Message", "two", 2.5),
        ("bert", "Message", "three", 3),
        ("bert", "Move", move(BERT, "OUTSIDER"), 3.5),
        ("alma", "Message", "alone", 4),
    )


def enclaves():
    group = manifest_of_group()
    direct = manifest_of("dm")
    small = manifest_of("open", bundle={"size": 3, "timeout": 60_000})
    return [
        case("group", manifest=group, keys=KEYS, script=group_script(group)),
        case("dm_default_bundle", manifest=direct, keys=KEYS, script=dm_script(direct)),
        case("open", manifest=small, keys=KEYS, script=open_script(small)),
    ]


NAMES = ("group", "dm_default_bundle", "open")


def as_case(row):
    return {"name": row[0], "input": row[1]}


def node(name):
    return replays.replay(next(as_case(row) for row in enclaves() if row[0] == name))


# --- what refers to them


def state_keys(name):
    """Raw keys asked after each bundle: roles, statuses, slots, gates, the lifecycle, and some that are absent."""
    log = node(name)
    events = [e["id"] for e in log.events if e["type"] in ("message", "invite", "Message")]
    raw = [(0, key) for key in (ALMA, BERT, DIRK, EDDA)] + [(1, i) for i in events[:3]]
    raw += [(2, "00" + b"topic".hex()), (2, "01" + CLEO + b"profile".hex())]
    raw += [(3, b"gate:applications".hex()), (3, b"gate:invites".hex()), (3, b"lifecycle".hex())]
    last = len(log.entries) - 1
    asked = [(index, *key) for index in sorted({0, last // 2, last}) for key in raw]
    return [{"leaf_index": index, "namespace": ns, "key": key} for index, ns, key in asked]


def enclave_proofs():
    return [case(name, of=f"enclave/{name}", state=state_keys(name)) for name in NAMES]


def step(author, kind, content, seconds, **more):
    return {"from": author, "type": kind, "content": content, "at": T0 + round(seconds * 1000), **more}


def refused_rows():
    return {
        "before_the_gate_opens": ("gate_closed", 0, step("dirk", "Move", move(DIRK, "PENDING"), 0.5)),
        "pending_writes": ("unauthorized", 2, step("dirk", "message", "x", 1.5)),
        "admin_admits_the_admitted": ("bad_state", 4, step("alma", "Move", move(BERT, "MEMBER"), 2.2)),
        "muted_writes": ("unauthorized", 16, step("dirk", "message", "x", 18)),
        "muted_reacts": ("unauthorized", 16, step("dirk", "reaction", "x", 18, tags=[["r", "$8"]])),
        "muted_updates_his_own": (None, 16, step("dirk", "Update", "x", 18, tags=[["r", "$9"]])),
        "update_by_another": ("unauthorized", 16, step("bert", "Update", "x", 18, tags=[["r", "$8"]])),
        "update_of_the_deleted": ("bad_state", 17, step("dirk", "Update", "x", 31, tags=[["r", "$9"]])),
        "delete_of_the_deleted": ("bad_state", 17, step("bert", "Delete", "x", 31, tags=[["r", "$9"]])),
        "delete_of_a_move": ("unauthorized", 17, step("alma", "Delete", "x", 31, tags=[["r", "$3"]])),
        "delete_of_a_delete": ("unauthorized", 17, step("bert", "Delete", "x", 31, tags=[["r", "$17"]])),
        "delete_of_the_unknown": ("not_found", 17, step("bert", "Delete", "x", 31, tags=[["r", hex_of("x")]])),
        "two_references": ("invalid_structure", 17, step("cleo", "Update", "x", 31, tags=[["r", "$8"], ["r", "$8"]])),
        "reference_of_three": ("invalid_structure", 17, step("cleo", "Update", "x", 31, tags=[["r", "$8", "z"]])),
        "left_muted_joins_and_writes": ("unauthorized", 23, step("dirk", "message", "x", 48)),
        "blocked_joins": ("bad_state", 24, step("dirk", "Move", move(DIRK, "MEMBER"), 60.5)),
        "slot_deleted_twice": ("not_found", 27, step("cleo", "Own", {"key": "profile", "value": None}, 63.5)),
        "paused_write": ("enclave_paused", 31, step("cleo", "message", "x", 82.5)),
        "paused_pause": ("enclave_paused", 31, step("bert", "Pause", {}, 82.5)),
        "paused_terminate": (None, 31, step("bert", "Terminate", {}, 82.5)),
        "former_owner_pauses": ("unauthorized", 30, step("alma", "Pause", {}, 81.5)),
        "after_the_end": ("enclave_terminated", 35, step("bert", "Resume", {}, 91)),
        "exp_last_moment": (None, 1, step("alma", "notice", "x", 1, exp=T0 + 1000 - 60_000)),
        "exp_over": ("expired", 1, step("alma", "notice", "x", 1, exp=T0 + 1000 - 60_001)),
        "exp_furthest": (None, 1, step("alma", "notice", "x", 1, exp=T0 + 1000 + 3_600_000)),
        "exp_further": ("exp_too_far", 1, step("alma", "notice", "x", 1, exp=T0 + 1000 + 3_600_001)),
        "exp_by_the_last_event": ("expired", 18, step("alma", "notice", "x", 40, exp=T0 + 43_000 - 60_001)),
        "clock_60_s_behind": (None, 18, step("alma", "notice", "x", -17)),
        "clock_further_behind": ("clock_behind", 18, step("alma", "notice", "x", -17.001)),
        "clock_behind_before_expiry": ("clock_behind", 18, step("alma", "notice", "x", -20, exp=1)),
        "duplicate": ("duplicate", 28, step("cleo", "message", "stays", 64, tags=[["lang", "en"]])),
        "manifest_again": ("enclave_exists", 28, step("alma", "Manifest", manifest_of_group(), 65, tags=NONCE)),
        "manifest_of_another_id": ("invalid_manifest", 28, step("alma", "Manifest", manifest_of_group(), 65)),
        "manifest_after_the_end": ("enclave_terminated", 35, step("alma", "Manifest", manifest_of_group(), 91, tags=NONCE)),
    }


def enclave_refused():
    return [
        case(name, {"error": error}, of="enclave/group", after_seq=seq, step=step)
        for name, (error, seq, step) in refused_rows().items()
    ]


def chain_refused():
    ids = [e["id"] for e in node("group").events]
    orders = {
        "last_two_swapped": ids[:-2] + ids[:-3:-1],
        "first_left_out": ids[1:],
        "middle_left_out": ids[:12] + ids[13:],
        "one_twice": ids[:12] + ids[11:],
        "backwards": ids[::-1],
        "manifest_alone_missing_later": [ids[0], *ids[2:]],
    }
    return [case(name, {"valid": False}, ids=order, of="enclave/group") for name, order in orders.items()]


def snapshot():
    return [case(name, of=f"enclave/{name}") for name in NAMES]


# --- restore


class Late(enclave.Enclave):
    """A node that does not close bundles when they are due."""

    def close_due(self, t):
        pass


def played(kind, rows, template="open", **members):
    """A log made by a node of some kind, without looking at what was recorded elsewhere."""
    content = manifest_of(template, **members)
    log = kind(NODE_PRIV)
    for step in script(("alma", "Manifest", content, 0), *rows):
        log.submit(replays.script_commit(log, KEYS[step["from"]], step), step["at"])
    return log


def with_migrate(to="successor"):
    log = played(enclave.Enclave, [("alma", "Message", "one", 1), ("alma", "Message", "two", 6)])
    last = log.events[-1]
    content = {
        "new_sequencer": pub(to), "prev_seq": last["seq"], "ct_root": log.root().hex(), "prev": p.event_hash(last).hex(),
    }
    step = script(("alma", "Migrate", content, 7))[0]
    log.submit(replays.script_commit(log, KEYS["alma"], step), step["at"])
    return log


def as_text(data):
    return base64.b64encode(data).decode()


def restore_after_migrate():
    data = as_text(with_migrate().snapshot())
    rows = []
    for name, held, first, before, live in (
        ("first_and_held", True, True, False, True), ("not_asserted", True, False, False, False),
        ("held_elsewhere", False, True, False, False), ("second_time", True, True, True, False),
        ("neither", False, False, False, False),
    ):
        given = {"new_sequencer_priv": priv("successor"), "key_held": held, "first": first, "taken_up_before": before}
        rows.append(case(name, {"live": live}, snapshot_base64=data, **given))
    other = {"new_sequencer_priv": priv("somebody else"), "key_held": True, "first": True, "taken_up_before": False}
    return rows + [case("another_key_held", {"live": False}, snapshot_base64=data, **other)]


def handed_over():
    """A log that goes on under its second sequencer."""
    log = with_migrate()
    log.take_up(priv("successor"), T0 + 8000)
    for step in script(("alma", "Message", "three", 9), ("alma", "Message", "four", 20)):
        log.submit(replays.script_commit(log, KEYS["alma"], step), step["at"])
    return log


TALK = [("alma", "Message", "one", 1), ("alma", "Message", "two", 4.999), ("alma", "Message", "three", 5)]


def image_of(log):
    return cbor.decode(log.snapshot()[4:])


def altered(image, **members):
    return enclave.MAGIC + cbor.encode({**image, **members})


def signed_again(image, priv_hex, **members):
    sth = image["sth"]
    values = {"enclave": sth["enclave"], "timestamp": sth["timestamp"], "tree_size": sth["tree_size"],
              "root_hash": sth["root_hash"], **members}
    return p.sign_sth(priv_hex, **values)


def restore_rows():
    log = played(enclave.Enclave, TALK, bundle={"size": 4, "timeout": 5000})
    image, data = image_of(log), log.snapshot()
    events, moved = image["events"], handed_over()
    ended = image_of(node("group"))
    reordered = {name: image[name] for name in ("bundles", "events", "manifest", "seq_pub", "sth")}
    unsorted = b"\xa5" + b"".join(cbor.encode(k) + cbor.encode(v) for k, v in reordered.items())
    thief = priv("thief")
    empty = signed_again(image, NODE_PRIV, tree_size=0, root_hash=trees.EMPTY.hex())
    return {
        "closed_by_time": (True, data),
        "terminated": (True, node("group").snapshot()),
        "open_bundle_of_default_size": (True, node("dm_default_bundle").snapshot()),
        "migrated": (True, with_migrate().snapshot()),
        "gone_on_after_migrate": (True, moved.snapshot()),
        "all_in_one_bundle": (False, played(Late, TALK, bundle={"size": 4, "timeout": 5000}).snapshot()),
        "open_bundle_after_due": (False, played(Late, TALK, bundle={"size": 5, "timeout": 5000}).snapshot()),
        "tree_head_signed_again": (True, altered(image, sth=signed_again(image, NODE_PRIV, timestamp=T0 + 99_000))),
        "tree_head_of_a_thief": (False, altered(image, sth=signed_again(image, thief), seq_pub=bytes.fromhex(p.pub_hex(thief)))),
        "tree_head_of_another_root": (False, altered(image, sth=signed_again(image, NODE_PRIV, root_hash=hex_of("r")))),
        "tree_head_of_another_size": (False, altered(image, sth=empty)),
        "other_seq_pub": (False, altered(image, seq_pub=bytes.fromhex(p.pub_hex(thief)))),
        # Nothing signed in a snapshot counts the events of the open bundle; only a receipt shows that one is gone.
        "open_event_dropped": (True, altered(image, events=events[:-1])),
        "event_in_the_middle_dropped": (False, altered(image, events=[*events[:1], *events[2:]])),
        "events_swapped": (False, altered(image, events=[events[0], events[2], events[1], events[3]])),
        "content_altered": (False, altered(image, events=[*events[:3], {**events[3], "content": "other"}])),
        "content_taken_away": (False, altered(image, events=[*events[:3], enclave.without_content(events[3])])),
        "bundle_of_none": (False, altered(image, bundles=[*image["bundles"], 0])),
        "bundle_beyond_the_events": (False, altered(image, bundles=[len(events) + 1])),
        "terminate_left_open": (False, altered(ended, bundles=ended["bundles"][:-1])),
        "other_manifest": (False, altered(image, manifest=image_of(moved)["manifest"])),
        "member_more": (False, altered(image, note="x")),
        "members_not_sorted": (False, enclave.MAGIC + unsorted),
        "byte_after_the_end": (False, data + b"\0"),
        "cut": (False, data[:-1]),
        "other_magic": (False, b"ENC2" + data[4:]),
        "magic_alone": (False, data[:4]),
        "long_head": (False, data[:4] + b"\xb8\x05" + data[5:]),
    }


def restore_bundles():
    return [case(name, {"valid": valid}, snapshot_base64=as_text(data)) for name, (valid, data) in restore_rows().items()]


GROUPS = {
    "enclave": enclaves,
    "enclave_proofs": enclave_proofs,
    "enclave_refused": enclave_refused,
    "chain_refused": chain_refused,
    "snapshot": snapshot,
    "restore_after_migrate": restore_after_migrate,
    "restore_bundles": restore_bundles,
}
