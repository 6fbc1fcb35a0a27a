"""The groups about whole enclaves: they replay a script, and other groups refer to its log by name."""

import base64
import hashlib

from . import protocol as p
from . import trees
from .enclave import Enclave
from .judges import JUDGES, hexes, un
from .roles import Refusal


def recompute(groups, group, case):
    """`expected` of one case; `groups` is where a case that says `of` finds the other."""
    given = case["input"]
    if group == "smt_enclave_value":
        return JUDGES[group](given, case["name"])
    if group in JUDGES:
        return JUDGES[group](given)
    if group == "enclave":
        return enclave_expected(replay(case))
    return REFERRING[group](find(groups, given["of"]), given)


def find(groups, reference):
    group, name = reference.split("/")
    return next(case for case in groups[group] if case["name"] == name)


REPLAYED = {}


def replay(case):
    """The node after a script, kept by its last event so that referring cases need not run it again."""
    mark = (case["name"], str(case["input"]))
    if mark not in REPLAYED:
        REPLAYED[mark] = run(case["input"], case.get("expected", {}).get("events"))
    return REPLAYED[mark]


def run(given, events, until=None):
    """Runs a script up to an index. Where it leaves the content out that is taken from the events; of a deleted one
    only the hash stands there, which is all that the log needs."""
    node = Enclave(given["keys"]["seq"])
    for index, step in enumerate(given["script"][:until]):
        node.submit(commit_of(node, given, step, events and events[index]), step["at"])
    return node


def commit_of(node, given, step, event):
    """The commit of a step: with content of its own, or the one behind an event of the log."""
    priv = given["keys"][step["from"]]
    if "content" in step:
        return script_commit(node, priv, step)
    names = ("enclave", "from", "type", "content", "content_hash", "exp", "tags")
    commit = {name: event[name] for name in names if name in event}
    digest = p.commit_hash(commit)
    return {**commit, "hash": digest.hex(), "sig": p.sign_hex(priv, digest)}


def script_commit(node, priv, step):
    tags = [[reference(node, text) for text in tag] for tag in step.get("tags", [])]
    author, content = p.pub_hex(priv), step["content"]
    enclave = node.id if node.events else p.enclave_id(author, content, tags)
    exp = step.get("exp", step["at"] + 60_000)
    return p.sign_commit(priv, enclave, step["type"], content, exp, tags)


def reference(node, text):
    """In the tags of a script `$n` stands for the id of event n."""
    return node.events[int(text[1:])]["id"] if text.startswith("$") else text


def enclave_expected(node):
    return {
        "enclave": node.id,
        "events": node.served(),
        "state_root_after": hexes(node.roots),
        "entries": hexes(node.entries),
        "sth": node.sths[-1],
    }


def chain_refused(of, given):
    by_id = {event["id"]: event for event in of["expected"]["events"]}
    return {"valid": p.chain_holds([by_id[i] for i in given["ids"]])}


def snapshot(of, _given):
    data = replay(of).snapshot()
    return {
        "length": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "base64": base64.b64encode(data).decode(),
    }


def refused_step(of, given):
    """A commit judged on the log as it stood after event `after_seq`."""
    node = run(of["input"], of["expected"]["events"], given["after_seq"] + 1)
    try:
        node.submit(commit_of(node, of["input"], given["step"], None), given["step"]["at"])
    except Refusal as refusal:
        return {"error": refusal.code, **refusal.members}
    return {"error": None}


def entry_members(node, index):
    entry = node.entries[index]
    return {
        "events_root": entry[:32].hex(),
        "state_commit": entry[32:64].hex(),
        "first_seq": int.from_bytes(entry[64:72], "big"),
        "count": int.from_bytes(entry[72:], "big"),
    }


def inclusion_answers(node):
    """What the inclusion route answers for every bundled event, but for the tree head."""
    leaves = [trees.log_leaf(e) for e in node.entries]
    answers = []
    for leaf_index, count in enumerate(node.counts):
        entry = entry_members(node, leaf_index)
        inside = node.events[entry["first_seq"] : entry["first_seq"] + count]
        ids = [un(e["id"]) for e in inside]
        for index in range(count):
            answers.append({
                "leaf_index": leaf_index,
                "tree_size": len(leaves),
                "audit_path": hexes(trees.inclusion(leaves, leaf_index)),
                "entry": entry,
                "bundle": trees.bundle_proof(ids, index),
            })
    return answers


def state_answer(node, leaf_index, namespace, raw):
    """What the state route answers after one bundle, but for the tree head."""
    leaves, entry = [trees.log_leaf(e) for e in node.entries], entry_members(node, leaf_index)
    last = entry["first_seq"] + entry["count"] - 1
    return {
        "proof": trees.state_proof(node.snapshots_of_state[leaf_index], trees.state_key(namespace, raw)),
        "state_hash": node.roots[last].hex(),
        "last_event_hash": p.event_hash(node.events[last]).hex(),
        "entry": entry,
        "leaf_index": leaf_index,
        "tree_size": len(leaves),
        "audit_path": hexes(trees.inclusion(leaves, leaf_index)),
    }


def proofs(of, given):
    node = replay(of)
    leaves = [trees.log_leaf(e) for e in node.entries]
    size = len(leaves)
    return {
        "receipts": [p.receipt_of(event) for event in node.events],
        "sths": node.sths,
        "checkpoints": node.checkpoints,
        "inclusion": inclusion_answers(node),
        "state": [state_answer(node, i["leaf_index"], i["namespace"], un(i["key"])) for i in given["state"]],
        "consistency": [
            {"from": old, "to": size, "path": hexes(trees.consistency(leaves, old))} for old in range(size + 1)
        ],
    }


REFERRING = {
    "chain_refused": chain_refused,
    "snapshot": snapshot,
    "enclave_refused": refused_step,
    "enclave_proofs": proofs,
}
