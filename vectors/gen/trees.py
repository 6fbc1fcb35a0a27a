"""The three trees of enc.md section 5: sparse state tree, bundle tree, RFC 9162 log with its tiles."""

import hashlib

from . import cbor

EMPTY = hashlib.sha256(b"").digest()
DEPTH = 168
TILE_WIDTH = 256


def sha256(data):
    return hashlib.sha256(data).digest()


def H(prefix, *fields):
    return sha256(cbor.encode([prefix, *fields]))


# --- sparse state tree


def state_key(namespace, raw):
    return bytes([namespace]) + sha256(raw)[:20]


def state_leaf(key, value):
    return H(0x20, key, value)


def state_node(left, right):
    return EMPTY if left == right == EMPTY else H(0x21, left, right)


def bit(key, index):
    return key[index // 8] >> 7 - index % 8 & 1


def state_root(leaves, depth=0):
    """Root of the subtree that holds these leaves (key to value), all of which share the first `depth` bits."""
    if not leaves:
        return EMPTY
    if depth == DEPTH:
        ((key, value),) = leaves.items()
        return state_leaf(key, value)
    left = {k: v for k, v in leaves.items() if not bit(k, depth)}
    right = {k: v for k, v in leaves.items() if bit(k, depth)}
    return state_node(state_root(left, depth + 1), state_root(right, depth + 1))


def state_proof(leaves, key):
    """Proof of presence or absence of a key, in its JSON shape."""
    bitmap, siblings, here = 0, [], leaves
    for depth in range(DEPTH):
        mine = bit(key, depth)
        sibling = state_root({k: v for k, v in here.items() if bit(k, depth) != mine}, depth + 1)
        here = {k: v for k, v in here.items() if bit(k, depth) == mine}
        if sibling != EMPTY:
            bitmap |= 1 << DEPTH - 1 - depth
            siblings.append(sibling.hex())
    value = leaves.get(key)
    return {"k": key.hex(), "v": value and value.hex(), "b": bitmap.to_bytes(21, "big").hex(), "s": siblings}


def state_proof_holds(proof, root, key=None):
    """Whether a proof is valid for a root (and, if given, for the key that the verifier computed)."""
    k, bitmap = bytes.fromhex(proof["k"]), bytes.fromhex(proof["b"])
    siblings = [bytes.fromhex(s) for s in proof["s"]]
    if len(k) != 21 or len(bitmap) != 21 or key not in (None, k) or EMPTY in siblings:
        return False
    if any(len(s) != 32 for s in siblings) or len(siblings) != sum(bit(bitmap, i) for i in range(DEPTH)):
        return False
    node = EMPTY if proof["v"] is None else state_leaf(k, bytes.fromhex(proof["v"]))
    for depth in reversed(range(DEPTH)):
        sibling = siblings.pop() if bit(bitmap, depth) else EMPTY
        node = state_node(sibling, node) if bit(k, depth) else state_node(node, sibling)
    return node == root


# --- bundle tree


def bundle_levels(ids):
    """All levels from the leaves to the root; a last odd node is promoted."""
    levels = [list(ids)]
    while len(levels[-1]) > 1:
        row = levels[-1]
        above = [H(0x01, row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        levels.append(above + row[len(row) & ~1 :])
    return levels


def events_root(ids):
    return bundle_levels(ids)[-1][0]


def bundle_proof(ids, index):
    siblings, at = [], index
    for row in bundle_levels(ids)[:-1]:
        if at ^ 1 < len(row):
            siblings.append(row[at ^ 1].hex())
        at >>= 1
    return {"event_id": ids[index].hex(), "bundle_index": index, "bundle_size": len(ids), "siblings": siblings}


def bundle_proof_holds(proof, root, index, count):
    """Index and count are the verifier's own, from the entry; the proof must state the same."""
    if proof["bundle_index"] != index or proof["bundle_size"] != count or not 0 <= index < count:
        return False
    node, siblings, width = bytes.fromhex(proof["event_id"]), list(proof["siblings"]), count
    while width > 1:
        if index ^ 1 < width:
            if not siblings:
                return False
            sibling = bytes.fromhex(siblings.pop(0))
            node = H(0x01, sibling, node) if index & 1 else H(0x01, node, sibling)
        index, width = index >> 1, (width + 1) >> 1
    return not siblings and node == root


# --- log


def state_commit(event_hash, state_hash):
    return H(0x22, event_hash, state_hash)


def log_entry(root, commit, first_seq, count):
    return root + commit + first_seq.to_bytes(8, "big") + count.to_bytes(8, "big")


def log_leaf(entry):
    return sha256(b"\x00" + entry)


def log_node(left, right):
    return sha256(b"\x01" + left + right)


def split(size):
    """The largest power of two below a size of at least 2."""
    return 1 << (size - 1).bit_length() - 1


def log_root(leaves):
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return log_node(log_root(leaves[:k]), log_root(leaves[k:]))


def inclusion(leaves, index):
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return inclusion(leaves[:k], index) + [log_root(leaves[k:])]
    return inclusion(leaves[k:], index - k) + [log_root(leaves[:k])]


def inclusion_holds(leaf, index, size, path, root):
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, node = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            node = log_node(p, node)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            node = log_node(node, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and node == root


def consistency(leaves, old):
    """Path from the first `old` leaves to all of them; empty where the sizes are equal or the old one is 0."""
    return [] if old in (0, len(leaves)) else subproof(leaves, old, True)


def subproof(leaves, old, whole):
    if old == len(leaves):
        return [] if whole else [log_root(leaves)]
    k = split(len(leaves))
    if old <= k:
        return subproof(leaves[:k], old, whole) + [log_root(leaves[k:])]
    return subproof(leaves[k:], old - k, False) + [log_root(leaves[:k])]


def consistency_holds(old, new, old_root, new_root, path):
    """RFC 9162 section 2.1.4.2, with the empty tree consistent with every tree."""
    if old == 0:
        return not path and old_root == EMPTY
    if old >= new:
        return old == new and not path and old_root == new_root
    if not path:
        return False
    steps = list(path) if old & (old - 1) else [old_root, *path]
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = steps[0]
    for c in steps[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = log_node(c, fr), log_node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = log_node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == new_root and sn == 0


# --- tiles


def tile_path(index):
    """C2SP: groups of three digits, all but the last with an x before them."""
    text = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        text = f"x{index % 1000:03d}/{text}"
    return text


def tile_index(groups):
    return int("".join(group.lstrip("x") for group in groups))


def tile(entries, path):
    """Bytes of `tile/<level or entries>/<path>[.p/<width>]` over a log of these entries, None where there is none."""
    parts = path.split("/")
    width = TILE_WIDTH
    if parts[-2].endswith(".p"):
        width = int(parts.pop())
        parts[-1] = parts[-1][:-2]
    index = tile_index(parts[2:])
    if parts[1] == "entries":
        row = [len(e).to_bytes(2, "big") + e for e in entries]
    else:
        row = [log_leaf(e) for e in entries]
        for _ in range(int(parts[1])):
            full = len(row) // TILE_WIDTH
            row = [log_root(row[i * TILE_WIDTH : (i + 1) * TILE_WIDTH]) for i in range(full)]
    cut = row[index * TILE_WIDTH : index * TILE_WIDTH + width]
    return b"".join(cut) if len(cut) == width else None
