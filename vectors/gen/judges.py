"""For every group of vectors whose cases stand alone the function that computes `expected` from `input`.

The same functions fill in what is generated and are held against vectors made by others.
"""

import base64
import hashlib

from . import aead, cbor, enclave, json_text, trees
from . import protocol as p
from .json_text import jcs
from .manifest import InvalidManifest, Rules
from .roles import LIFECYCLE, OPEN, Refusal, State, be256

un = bytes.fromhex


def vector_hash(index):
    return trees.sha256(f"vector {index}".encode())


def vector_ids(count):
    return [vector_hash(i) for i in range(count)]


def vector_entry(i):
    commit = trees.state_commit(vector_hash(2 * i + 1), vector_hash(2 * i + 2))
    return trees.log_entry(vector_hash(2 * i), commit, 3 * i, 3)


def vector_entries(count):
    return [vector_entry(i) for i in range(count)]


def vector_leaves(count):
    return [trees.log_leaf(e) for e in vector_entries(count)]


def fields_of(values):
    """The notation of the group H: {"bytes": hex} is a byte string."""
    if isinstance(values, list):
        return [fields_of(v) for v in values]
    return un(values["bytes"]) if isinstance(values, dict) else values


def key(i):
    return {"id_pub": p.pub_hex(i["priv"])}


def signature(i):
    if "priv" in i:
        return {"sig": p.sign_hex(i["priv"], un(i["message"])), "valid": True}
    return {"valid": p.signed_by(i["pub"], un(i["message"]), i["sig"])}


def ed25519(i):
    seed = p.log_seed(i["seq_priv"], i["enclave"])
    return {"seed": seed.hex(), "log_vkey": p.log_vkey(i["seq_priv"], i["enclave"])}


def structured_hash(i):
    fields = fields_of(i["fields"])
    return {"cbor": cbor.encode([i["prefix"], *fields]).hex(), "hash": trees.H(i["prefix"], *fields).hex()}


def content_hash(i):
    return {"rfc8785": jcs(i["content"]), "content_hash": p.content_hash(i["content"]).hex()}


def string_and_value(i):
    string, value = p.content_hash(i["string"]).hex(), p.content_hash(i["value"]).hex()
    return {"string_hash": string, "value_hash": value, "equal": string == value}


def json_in(i):
    data = un(i["hex"]) if "hex" in i else i["json"].encode()
    try:
        return {"rfc8785": jcs(json_text.parse(data))}
    except json_text.Refused as refused:
        return {"error": refused.code}


def commit_depth(i):
    """The content's text stands one level deep in a commit."""
    try:
        json_text.parse(b'{"content":' + i["content"].encode() + b"}", json_text.MAX_COMMIT_DEPTH)
    except json_text.Refused as refused:
        return {"error": refused.code}
    return {"error": None}


def commit(i):
    digest = p.commit_hash(i)
    return {
        "content_hash": p.content_hash(i["content"]).hex(),
        "hash": digest.hex(),
        "sig": p.sign_hex(i["priv"], digest),
    }


def event(i):
    made = p.sequence(i["commit"], i["sequencer_priv"], i["seq"], i["type_seq"], i["timestamp"], i["prev"])
    return {
        "event_hash": p.event_hash(made).hex(),
        "seq_sig": made["seq_sig"],
        "id": made["id"],
        "receipt": p.receipt_of(made),
    }


def session(i):
    return p.make_session(i["priv"], i["seq_pub"], i["expires"])


def session_check(i):
    return {"error": p.session_error(i["token"], i["from"], i["seq_pub"], i["now"], i["form"])}


def transport(i):
    keys = p.transport_keys(i["token"], i["session_priv"], p.pub_hex(i["seq_priv"]), i["enclave"])
    if keys["shared_x"] != p.node_shared_x(i["token"], i["seq_priv"], i["enclave"]):
        raise ValueError("client and node disagree")
    ad_query = p.query_ad(i["enclave"], i["from"], i["token"])
    ad_response = p.response_ad(i["nonce_query"])
    query = aead.seal(un(keys["key_query"]), un(i["nonce_query"]), i["query"].encode(), ad_query)
    response = aead.seal(un(keys["key_response"]), un(i["nonce_response"]), i["response"].encode(), ad_response)
    return {
        **keys,
        "ad_query": ad_query.hex(),
        "ciphertext_query": query.hex(),
        "ad_response": ad_response.hex(),
        "ciphertext_response": response.hex(),
    }


def transport_refused(i):
    opened = aead.open_sealed(un(i["key"]), un(i["nonce"]), un(i["ciphertext"]), un(i["ad"]))
    return {"opens": opened is not None}


def smt_enclave_value(i, name):
    """The value follows from the case's name: the key alone does not tell."""
    value = OPEN if name.startswith("gate_open") else be256(LIFECYCLE[name])
    return {"value": value.hex(), "leaf": trees.state_leaf(un(i["key"]), value).hex()}


def smt_bitmask(i):
    names = [trait.split("(")[0] for trait in i["traits"]]
    mask = ([None] + i["states"]).index(i["state"]) if i["state"] != "OUTSIDER" else 0
    return {"value": be256(mask | sum(1 << 8 + names.index(n) for n in i["has"])).hex()}


def leaves_of(i):
    return {un(k): un(v) for k, v in i["leaves"].items()}


def smt_proof(i):
    if "proof" in i:
        return {"valid": trees.state_proof_holds(i["proof"], un(i["root"]))}
    leaves = leaves_of(i)
    proof, root = trees.state_proof(leaves, un(i["key"])), trees.state_root(leaves)
    valid = trees.state_proof_holds(proof, root, un(i["key"]))
    return {"proof": proof, "root": root.hex(), "valid": valid}


def bundle(i):
    ids = vector_ids(i["count"])
    return {"events_root": trees.events_root(ids).hex(), "proof": trees.bundle_proof(ids, i["index"])}


def bundle_proof(i):
    root, index, count = un(i["events_root"]), i["index_from_the_entry"], i["count_of_the_entry"]
    return {"valid": trees.bundle_proof_holds(i["proof"], root, index, count)}


def log_entry(i):
    state_commit = trees.state_commit(un(i["last_event_hash"]), un(i["state_hash"]))
    entry = trees.log_entry(un(i["events_root"]), state_commit, i["first_seq"], i["count"])
    return {"state_commit": state_commit.hex(), "entry": entry.hex(), "leaf": trees.log_leaf(entry).hex()}


def log_root(i):
    leaves = vector_leaves(i["count"])
    return {"root": trees.log_root(leaves).hex(), **({"leaf_0": leaves[0].hex()} if leaves else {})}


def log_inclusion(i):
    return {"audit_path": hexes(trees.inclusion(vector_leaves(i["tree_size"]), i["index"]))}


def log_inclusion_refused(i):
    path = [un(x) for x in i["audit_path"]]
    return {"valid": trees.inclusion_holds(un(i["leaf"]), i["index"], i["tree_size"], path, un(i["root"]))}


def log_consistency(i):
    return {"path": hexes(trees.consistency(vector_leaves(i["to"]), i["from"]))}


def log_consistency_refused(i):
    path = [un(x) for x in i["path"]]
    return {"valid": trees.consistency_holds(i["from"], i["to"], un(i["from_root"]), un(i["to_root"]), path)}


def hexes(hashes):
    return [h.hex() for h in hashes]


def sth(i):
    message = p.sth_message(i["enclave"], i["timestamp"], i["tree_size"], i["root_hash"])
    signed = p.sign_sth(i["priv"], i["enclave"], i["timestamp"], i["tree_size"], i["root_hash"])
    return {"message": message.hex(), "sth": signed}


def checkpoint(i):
    text, note, key_id = p.checkpoint(i["priv"], i["enclave"], i["tree_size"], i["root_hash"])
    return {"text": text, "note": note, "key_id": key_id, "log_vkey": p.log_vkey(i["priv"], i["enclave"])}


def heads(i):
    if "entries" in i:
        rows = [len(un(e)).to_bytes(2, "big") + un(e) for e in i["entries"]]
        return {"hex": b"".join(rows).hex()}
    return p.head_case(i["enclave"], i["tree_size"], i["root_hash"])


def tile(i):
    data = trees.tile(vector_entries(i["count"]), i["path"])
    if data is None:
        return {"error": "not_found"}
    if len(data) <= 1024:
        return {"hex": data.hex()}
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def push(i):
    message = p.push_message(i["body"])
    return {"message": message.hex(), "sig": p.sign_hex(i["priv"], message)}


def push_receiver(i):
    return {"valid": p.push_holds(i["body"], i["seq_pub_of_the_manifest"], i["own_url"], i["now"])}


def judged(i):
    """The state after one commit on a fresh enclave of this manifest, or the refusal."""
    rules = Rules(i["manifest"], i["manifest"]["RBAC"]["init"][0]["identity"])
    state = State(rules)
    try:
        state.apply(i["author"], i["type"], i["content"], [])
    except Refusal as refusal:
        return None, {"error": refusal.code, **refusal.members}
    return state, {"error": None}


def rank(i):
    state, expected = judged(i)
    if state:
        touched = {i["author"], i["content"]["target"]}
        expected["bitmasks"] = {identity: be256(state.mask(identity)).hex() for identity in sorted(touched)}
    return expected


def step_8(i):
    return judged(i)[1]


def manifest(i):
    try:
        Rules(i["manifest"], i["from"])
    except InvalidManifest as fault:
        return {"error": "invalid_manifest", "path": fault.path}
    return {"error": None}


def restored(i):
    try:
        return enclave.restore(base64.b64decode(i["snapshot_base64"], validate=True))
    except (ValueError, KeyError, TypeError, IndexError):
        return None


def restore_bundles(i):
    return {"valid": restored(i) is not None}


def restore_after_migrate(i):
    found = restored(i)
    last = found.events[-1]
    mine = i["key_held"] and last["content"].get("new_sequencer") == p.pub_hex(i["new_sequencer_priv"])
    live = bool(last["type"] == "Migrate" and mine and i["first"] and not i["taken_up_before"])
    return {"live": live, "status": "active" if live else "migrated", "state_root": found.roots[-1].hex()}


def template(i):
    content = fill_template(i["template"], i["sequencer"], i["from"])
    return {"content_hash": p.content_hash(content).hex(), "enclave_id": p.enclave_id(i["from"], content, i["tags"])}


def fill_template(value, sequencer, creator):
    """`"SEQ"` and `"ME"` are whole strings in a template, never parts of one."""
    if isinstance(value, dict):
        return {k: fill_template(v, sequencer, creator) for k, v in value.items()}
    if isinstance(value, list):
        return [fill_template(v, sequencer, creator) for v in value]
    return {"SEQ": sequencer, "ME": creator}.get(value, value) if isinstance(value, str) else value


JUDGES = {
    "key": key,
    "signature": signature,
    "ed25519": ed25519,
    "H": structured_hash,
    "content_hash": content_hash,
    "content_string_and_value_differ": string_and_value,
    "json_refused": json_in,
    "json_accepted": json_in,
    "json_bytes_refused": json_in,
    "commit": commit,
    "event": event,
    "receipt": lambda i: {"valid": p.receipt_holds(i["receipt"], i["sequencer"])},
    "equivocation": lambda i: {"evidence": p.equivocation(i["a"], i["b"])},
    "deleted_event": lambda i: {"valid": p.event_holds(i["event"], i["sequencer"])},
    "event_window": lambda i: {"valid": p.event_holds(i["event"], i["sequencer"])},
    "enclave_id": lambda i: {"enclave_id": p.enclave_id(i["from"], i["content"], i["tags"])},
    "session": session,
    "session_check": session_check,
    "transport": transport,
    "transport_refused": transport_refused,
    "smt_key": lambda i: {"key": trees.state_key(i["namespace"], un(i["raw"])).hex()},
    "smt_enclave_value": smt_enclave_value,
    "smt_bitmask": smt_bitmask,
    "smt_leaf": lambda i: {"hash": trees.state_leaf(un(i["key"]), un(i["value"])).hex()},
    "smt_root": lambda i: {"root": trees.state_root(leaves_of(i)).hex()},
    "smt_proof": smt_proof,
    "bundle": bundle,
    "bundle_proof": bundle_proof,
    "log_entry": log_entry,
    "log_root": log_root,
    "log_inclusion": log_inclusion,
    "log_inclusion_refused": log_inclusion_refused,
    "log_consistency": log_consistency,
    "log_consistency_refused": log_consistency_refused,
    "sth": sth,
    "checkpoint": checkpoint,
    "sth_equivocation": lambda i: {"evidence": p.sth_equivocation(i["a"], i["b"])},
    "heads": heads,
    "tile_path": lambda i: {"path": trees.tile_path(i["index"])},
    "tile": tile,
    "tile_refused": tile,
    "push": push,
    "push_receiver": push_receiver,
    "rank": rank,
    "manifest": manifest,
    "commit_depth": commit_depth,
    "step_8": step_8,
    "restore_after_migrate": restore_after_migrate,
    "restore_bundles": restore_bundles,
    "template": template,
}
