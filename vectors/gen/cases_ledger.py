"""A WORM ledger, written from ledger.md and the C2SP texts alone: entries, packs, blobs, tiles, notes, a receipt, a journal frame."""

import hashlib
import json
import pathlib
from datetime import datetime, timedelta, timezone

from . import ed25519
from .protocol import ED25519_KIND, b64, key_id
from .trees import log_leaf, log_root, tile_path

ORIGIN = "example.org/ledger/vectors"
SEED = bytes([9] * 32)
T0 = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)
PACK_MAX = 100
SIZES = (2, 255, 256, 257, 600)
POLICY = f"""mode = "governance"
pack_max = {PACK_MAX}
four_eyes = false
outside_time = false
fail_closed = false
require_individual = false
checkpoint_public = false
tiles_public = false
default_period = "P6Y"
quorum = []
"""
README = pathlib.Path(__file__).parents[2] / "crates/ledger/src/readme.txt"


def time_of(index):
    at = T0 + timedelta(milliseconds=1000 * index)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def payload_of(index):
    return bytes((index * 31 + at) % 256 for at in range(index * 37 % 130))


def note(text):
    key = ed25519.public_key(SEED)
    line = b64(key_id(ORIGIN, ED25519_KIND, key) + ed25519.sign(SEED, text.encode()))
    return f"{text}\n— {ORIGIN} {line}\n"


def vkey():
    key = ed25519.public_key(SEED)
    return f"{ORIGIN}+{key_id(ORIGIN, ED25519_KIND, key).hex()}+{b64(ED25519_KIND + key)}"


def stored(payload):
    place = "pack" if len(payload) <= PACK_MAX else "blob"
    return f"size: {len(payload)}\nsha256: {hashlib.sha256(payload).hexdigest()}\npayload: {place}\n"


def head(index, kind):
    return f"worm-entry v1\nindex: {index}\ntime: {time_of(0 if index < 2 else index)}\nkind: {kind}\n"


def readme():
    return README.read_text(encoding="utf-8").replace("ORIGIN", ORIGIN).replace("VKEY", vkey())


def contents():
    """Entries and payloads, in their order."""
    first = readme().encode()
    yield (
        head(0, "record")
        + "record-id: README.txt\nactor: ledger\nmedia-type: text/plain; charset=utf-8\n"
        + stored(first)
        + "retain-until: forever\n"
    ), first
    yield head(1, "policy") + "actor: ledger\n" + stored(POLICY.encode()), POLICY.encode()
    for index in range(2, SIZES[-1]):
        payload = payload_of(index)
        yield (
            head(index, "record")
            + f"record-id: record-{index}\nactor: alice\non-behalf-of: bob\nmedia-type: text/plain\n"
            + stored(payload)
            + "retain-until: 2032-02-03\n"
        ), payload


def files_of(entries, payloads):
    """Every file of the folder after the last checkpoint, by path."""
    leaves = [log_leaf(entry) for entry in entries]
    files = {"README.txt": payloads[0], f"keys/{vkey().split('+')[1]}.vkey": vkey().encode() + b"\n"}
    for size in SIZES:
        text = f"{ORIGIN}\n{size}\n{b64(log_root(leaves[:size]))}\n"
        files[f"checkpoints/{tile_path(size)}"] = note(text).encode()
        files["checkpoint"] = note(text).encode()
        levels = [leaves[:size]]
        while len(levels[-1]) >= 256:
            rows = levels[-1]
            levels.append([log_root(rows[at : at + 256]) for at in range(0, len(rows) - 255, 256)])
        for level, hashes in enumerate(levels):
            put(files, f"tile/{level}", [hashes[at : at + 256] for at in range(0, len(hashes), 256)])
        bundles = [len(entry).to_bytes(2, "big") + entry for entry in entries[:size]]
        put(files, "tile/entries", [bundles[at : at + 256] for at in range(0, size, 256)])
    for index, payload in enumerate(payloads):
        if len(payload) > PACK_MAX:
            name = hashlib.sha256(payload).hexdigest()
            files[f"blob/{name[:2]}/{name}"] = payload
        elif payload:
            pack = f"payload/{tile_path(index // 256)}"
            files[pack] = files.get(pack, b"") + payload
    return files


def put(files, folder, tiles):
    for number, slots in enumerate(tiles):
        width = "" if len(slots) == 256 else f".p/{len(slots)}"
        files[f"{folder}/{tile_path(number)}{width}"] = b"".join(slots)


def frame(first, entries):
    body = b"".join(len(entry).to_bytes(4, "big") + entry for entry in entries)
    counts = first.to_bytes(8, "big") + len(entries).to_bytes(4, "big") + len(body).to_bytes(4, "big")
    return b"wormjrn1" + counts + hashlib.sha256(counts + body).digest() + body


def document():
    """The text of ledger/ledger.json."""
    texts, payloads = zip(*contents())
    entries = [text.encode() for text in texts]
    leaf = log_leaf(entries[7]).hex()
    receipt = f"worm-receipt v1\norigin: {ORIGIN}\nindex: 7\nleaf: {leaf}\ntime: {time_of(7)}\n"
    files = files_of(entries, payloads)
    made = {
        "about": "A WORM ledger made by vectors/gen/cases_ledger.py, which says what each record is. Digests are SHA-256 of whole files.",
        "origin": ORIGIN,
        "seed": SEED.hex(),
        "vkey": vkey(),
        "policy": POLICY,
        "sizes": list(SIZES),
        "roots": [log_root([log_leaf(entry) for entry in entries[:size]]).hex() for size in SIZES],
        "entries": {str(index): texts[index] for index in (0, 1, 7, 299)},
        "checkpoint": files["checkpoint"].decode(),
        "receipt_of_7": note(receipt),
        "journal_of_7_and_8": frame(7, entries[7:9]).hex(),
        "files": {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)},
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"
