"""Cases of the state tree, bundles, the log, its tiles and its signed heads."""

from . import judges, trees
from . import protocol as p
from .sources import SEQ_PRIV, T0, case, digest, hex_of, priv, pub

ENTRIES = (
    'entry i: events_root = SHA-256("vector <2i>"), last event hash = SHA-256("vector <2i+1>"), '
    'state_hash = SHA-256("vector <2i+2>"), first_seq = 3i, count = 3'
)
IDS = 'SHA-256 of "vector <i>", i = 0 …'
ENCLAVE = hex_of("tree enclave")

# --- state tree


def smt_key():
    dora, event = pub("dora"), hex_of("event")
    own = "01" + dora + b"avatar".hex()
    return [
        case("role", namespace=0, raw=dora),
        case("status", namespace=1, raw=event),
        case("shared_topic", namespace=2, raw="00" + b"topic".hex(), slot="topic"),
        case("shared_longest", namespace=2, raw="00" + b"k".hex() * 64, slot="k" * 64),
        case("own_avatar", namespace=2, raw=own, slot="avatar", identity=dora),
        case("own_of_another", namespace=2, raw="01" + pub("emil") + b"avatar".hex(), slot="avatar", identity=pub("emil")),
        case("gate", namespace=3, raw=b"gate:invites".hex(), alias="invites"),
        case("gate_with_punctuation", namespace=3, raw=b"gate:a:b.c-d_E".hex(), alias="a:b.c-d_E"),
    ]


def smt_enclave_value():
    gate = trees.state_key(3, b"gate:invites").hex()
    life = trees.state_key(3, b"lifecycle").hex()
    return [case("gate_open", key=gate), *(case(name, key=life) for name in ("paused", "terminated", "migrated"))]


def smt_bitmask():
    traits = [f"t{i}({i * 3})" for i in range(248)]
    states = [f"S{i}" for i in range(255)]
    return [
        case("outsider_with_trait", states=["A"], traits=["x(1)", "y(0)"], state="OUTSIDER", has=["y"]),
        case("first_state", states=["A", "B"], traits=[], state="A", has=[]),
        case("last_of_all", states=states, traits=traits, state="S254", has=["t0", "t7", "t8", "t247"]),
        case("all_traits", states=["A"], traits=traits, state="A", has=[f"t{i}" for i in range(248)]),
    ]


def smt_leaf():
    return [case(f"leaf_{i}", key=trees.state_key(i, digest(f"raw {i}")).hex(), value=hex_of(f"value {i}")) for i in range(4)]


def leaf_set(count, shared_bits=0):
    """Leaves whose keys agree in their first bits."""
    found = {}
    for i in range(count):
        key = int.from_bytes(trees.state_key(i % 4, digest(f"leaf {i}")), "big")
        if shared_bits:
            low = 168 - shared_bits
            key = key & (1 << low) - 1 | int.from_bytes(digest("prefix")[:21], "big") >> low << low
        found[key.to_bytes(21, "big")] = digest(f"leaf value {i}")
    return found


def at_bits(*bits):
    """Leaves that differ from the key zero in one bit each, so that siblings meet at every given depth."""
    keys = [0, *(1 << 167 - b for b in bits)]
    return {k.to_bytes(21, "big"): digest(f"at {k}") for k in keys}


def leaf_sets():
    sets = {f"random_{n}": leaf_set(n) for n in (1, 2, 3, 4, 5, 8, 16, 50)}
    sets |= {f"shared_{bits}_bits": leaf_set(6, bits) for bits in (1, 7, 8, 9, 64, 120, 160)}
    sets["ladder"] = at_bits(*range(0, 168, 8))
    sets["last_eight_bits"] = at_bits(*range(160, 168))
    sets["values_alike"] = {k: b"\1" * 32 for k in leaf_set(5)}
    sets["value_is_zero"] = {k: bytes(32) for k in leaf_set(3)}
    sets["value_is_the_empty_hash"] = {k: trees.EMPTY for k in leaf_set(2)}
    return sets


def as_json(leaves):
    return {k.hex(): v.hex() for k, v in leaves.items()}


def smt_root():
    return [case(name, leaves=as_json(leaves)) for name, leaves in leaf_sets().items()]


def smt_proof():
    rows = []
    for name, leaves in leaf_sets().items():
        if len(leaves) > 16:
            continue
        first, last = min(leaves), max(leaves)
        neighbour = (int.from_bytes(first, "big") ^ 1).to_bytes(21, "big")
        absent = trees.state_key(1, digest(name))
        for label, key in (("first", first), ("last", last), ("absent", absent), ("neighbour", neighbour)):
            rows.append(case(f"{name}_{label}", {"valid": True}, leaves=as_json(leaves), key=key.hex()))
    return rows + broken_state_proofs()


def broken_state_proofs():
    leaves = leaf_set(16)
    root, key = trees.state_root(leaves), min(leaves)
    good = trees.state_proof(leaves, key)
    absent = trees.state_proof(leaves, trees.state_key(1, digest("absent")))
    bits = int(good["b"], 16)
    lowest = bits & -bits
    changes = {
        "value_of_another": {**good, "v": leaves[max(leaves)].hex()},
        "value_missing": {**good, "v": None},
        "present_instead_of_absent": {**absent, "v": hex_of("v")},
        "key_of_another": {**good, "k": max(leaves).hex()},
        "bit_more": {**good, "b": f"{bits | 1:042x}"},
        "bit_less": {**good, "b": f"{bits ^ lowest:042x}"},
        "bit_moved": {**good, "b": f"{bits ^ lowest ^ lowest >> 1:042x}"},
        "bits_mirrored": {**good, "b": f"{int(f'{bits:0168b}'[::-1], 2):042x}"},
        "sibling_less": {**good, "s": good["s"][:-1]},
        "sibling_more": {**good, "s": good["s"] + [hex_of("s")]},
        "siblings_from_leaf_to_root": {**good, "s": good["s"][::-1]},
        "sibling_changed": {**good, "s": [hex_of("s")] + good["s"][1:]},
        "empty_sibling_written_out": {**good, "b": f"{bits | 1:042x}", "s": good["s"] + [trees.EMPTY.hex()]},
        "of_another_tree": trees.state_proof(leaf_set(8), key),
    }
    return [case(f"not_{name}", {"valid": False}, proof=proof, root=root.hex()) for name, proof in changes.items()]


# --- bundles


def bundle():
    rows = []
    for count in range(1, 65):
        for index in sorted({0, count // 2, count - 1}):
            rows.append(case(f"{count}_events_{index}", ids=IDS, count=count, index=index))
    for count, index in ((255, 254), (257, 256), (1000, 999), (4095, 4094), (4096, 0), (4096, 4095), (4096, 2731)):
        rows.append(case(f"{count}_events_{index}", ids=IDS, count=count, index=index))
    return rows


def bundle_proof():
    rows = []
    for count in (1, 2, 5, 7, 11, 64):
        ids = judges.vector_ids(count)
        root = trees.events_root(ids)
        for index in sorted({0, count // 2, count - 1}):
            proof = trees.bundle_proof(ids, index)
            given = dict(proof=proof, events_root=root.hex(), index_from_the_entry=index, count_of_the_entry=count)
            rows.append(case(f"{index}_of_{count}", {"valid": True}, **given))
    return rows + broken_bundle_proofs()


def broken_bundle_proofs():
    ids = judges.vector_ids(11)
    levels, root, proof = trees.bundle_levels(ids), trees.events_root(ids), trees.bundle_proof(ids, 4)
    siblings = proof["siblings"]
    changes = {
        "other_event": ({**proof, "event_id": ids[5].hex()}, 4, 11),
        "entry_of_12": (proof, 4, 12),
        "proof_of_12": ({**proof, "bundle_size": 12}, 4, 11),
        "both_of_12": ({**trees.bundle_proof(ids, 10), "bundle_size": 12}, 10, 12),
        "index_5": ({**proof, "bundle_index": 5}, 5, 11),
        "index_beyond": ({**proof, "bundle_index": 11}, 11, 11),
        "cut": ({**proof, "siblings": siblings[:-1]}, 4, 11),
        "longer": ({**proof, "siblings": siblings + [root.hex()]}, 4, 11),
        "reversed": ({**proof, "siblings": siblings[::-1]}, 4, 11),
        "none": ({**proof, "siblings": []}, 4, 11),
        "inner_node": ({"event_id": levels[1][2].hex(), "bundle_index": 2, "bundle_size": 6, "siblings": siblings[1:]}, 2, 11),
        "promoted_node_in_the_middle": ({**trees.bundle_proof(ids, 10), "bundle_index": 9}, 9, 11),
        "root_itself": ({"event_id": root.hex(), "bundle_index": 0, "bundle_size": 1, "siblings": []}, 0, 11),
    }
    return [
        case(name, {"valid": False}, proof=made, events_root=root.hex(), index_from_the_entry=index, count_of_the_entry=count)
        for name, (made, index, count) in changes.items()
    ]


# --- log


def log_entry():
    rows = []
    for i, (first_seq, count) in enumerate(((0, 1), (1, 4096), (4097, 256), (2**32, 2), (2**53 - 4097, 4096))):
        hashes = dict(events_root=hex_of(f"er {i}"), last_event_hash=hex_of(f"le {i}"), state_hash=hex_of(f"sh {i}"))
        rows.append(case(f"first_{first_seq}_count_{count}", **hashes, first_seq=first_seq, count=count))
    return rows


def log_root():
    sizes = [*range(1, 41), 63, 64, 65, 255, 256, 257, 299]
    return [case(f"size_{n}", entries=ENTRIES, count=n) for n in sizes]


def indices(size):
    """All of a small tree, else the edges and what stands beside the greatest power of two."""
    if size <= 17:
        return range(size)
    k = trees.split(size)
    return sorted({0, 1, k - 1, k, size - 2, size - 1})


def log_inclusion():
    pairs = [(i, n) for n in range(1, 41) for i in indices(n)] + [(256, 257), (255, 299), (298, 299)]
    return [case(f"{i}_of_{n}", entries=ENTRIES, index=i, tree_size=n) for i, n in pairs]


def log_consistency():
    pairs = [(m, n) for n in range(1, 41) for m in (range(n + 1) if n <= 17 else [m + 1 for m in indices(n)])]
    pairs += [(255, 257), (256, 299), (257, 300)]
    return [case(f"{m}_to_{n}", entries=ENTRIES, **{"from": m, "to": n}) for m, n in pairs]


def log_inclusion_refused():
    leaves = judges.vector_leaves(13)
    root, path = trees.log_root(leaves), [h.hex() for h in trees.inclusion(leaves, 9)]
    changes = {
        "index_8": (leaves[9], 8, 13, path), "index_13": (leaves[9], 13, 13, path), "size_17": (leaves[9], 9, 17, path),
        "size_8": (leaves[9], 9, 8, path), "other_leaf": (leaves[8], 9, 13, path), "cut": (leaves[9], 9, 13, path[:-1]),
        "longer": (leaves[9], 9, 13, path + [hex_of("s")]), "reversed": (leaves[9], 9, 13, path[::-1]),
        "empty": (leaves[9], 9, 13, []), "entry_not_hashed": (trees.sha256(judges.vector_entry(9)), 9, 13, path),
        "size_10": (leaves[9], 9, 10, path), "root_of_one": (root, 0, 13, []),
        "last_as_last_but_one": (leaves[12], 11, 13, [h.hex() for h in trees.inclusion(leaves, 12)]),
    }
    return [
        case(name, {"valid": False}, leaf=leaf.hex(), index=index, tree_size=size, audit_path=steps, root=root.hex())
        for name, (leaf, index, size, steps) in changes.items()
    ]


def log_consistency_refused():
    leaves = judges.vector_leaves(13)
    roots = [trees.log_root(leaves[:n]).hex() for n in range(14)]
    path = [h.hex() for h in trees.consistency(leaves, 6)]
    power = [h.hex() for h in trees.consistency(leaves, 8)]
    rows = {
        "holds": (True, 6, 13, roots[6], roots[13], path),
        "holds_from_a_power_of_two": (True, 8, 13, roots[8], roots[13], power),
        "holds_from_nothing": (True, 0, 13, roots[0], roots[13], []),
        "holds_for_the_same": (True, 13, 13, roots[13], roots[13], []),
        "smaller": (False, 13, 6, roots[13], roots[6], path),
        "same_size_other_root": (False, 13, 13, roots[12], roots[13], []),
        "same_size_with_a_path": (False, 13, 13, roots[13], roots[13], path),
        "old_root_of_another_size": (False, 6, 13, roots[7], roots[13], path),
        "new_root_of_another_size": (False, 6, 13, roots[6], roots[12], path),
        "other_old_size": (False, 5, 13, roots[6], roots[13], path),
        "other_new_size": (False, 6, 20, roots[6], roots[13], path),
        "cut": (False, 6, 13, roots[6], roots[13], path[:-1]),
        "longer": (False, 6, 13, roots[6], roots[13], path + path[:1]),
        "empty": (False, 6, 13, roots[6], roots[13], []),
        "power_with_its_own_root": (False, 8, 13, roots[8], roots[13], [roots[8]] + power),
        "nothing_with_a_path": (False, 0, 13, roots[0], roots[13], path),
        "nothing_with_a_root": (False, 0, 13, roots[1], roots[13], []),
    }
    return [
        case(name, {"valid": valid}, **{"from": m, "to": n}, from_root=old, to_root=new, path=steps)
        for name, (valid, m, n, old, new, steps) in rows.items()
    ]


def tile_path():
    return [case(str(i), index=i) for i in (1, 42, 255, 998, 1001, 999999, 1000000, 1000001, 123456789, 2**40)]


def tile():
    rows = [
        ("entries_full", 256, "tile/entries/000"), ("entries_of_513", 513, "tile/entries/001"),
        ("entries_partial_1", 513, "tile/entries/002.p/1"), ("entries_partial_255", 255, "tile/entries/000.p/255"),
        ("hashes_full_of_513", 513, "tile/0/001"), ("hashes_partial_1", 513, "tile/0/002.p/1"),
        ("level_1_of_513", 513, "tile/1/000.p/2"), ("hashes_partial_7", 7, "tile/0/000.p/7"),
    ]
    return [case(name, entries=ENTRIES, count=n, path=path) for name, n, path in rows]


def tile_refused():
    rows = [
        ("not_full", 255, "tile/0/000"), ("entries_not_full", 255, "tile/entries/000"), ("beyond", 256, "tile/0/001"),
        ("empty_log", 0, "tile/0/000"), ("level_1_of_255", 255, "tile/1/000.p/1"), ("wider_than_the_log", 7, "tile/0/000.p/8"),
        ("level_2_of_513", 513, "tile/2/000.p/1"),
    ]
    return [case(name, {"error": "not_found"}, entries=ENTRIES, count=n, path=path) for name, n, path in rows]


# --- heads


def log_head(size):
    return trees.log_root(judges.vector_leaves(size)).hex()


def sth():
    rows = [(f"size_{n}", T0 + n, n, log_head(n)) for n in (0, 1, 2, 17, 257)]
    rows.append(("greatest_numbers", 2**53 - 1, 2**53 - 1, hex_of("r")))
    return [
        case(name, enclave=ENCLAVE, timestamp=at, tree_size=size, root_hash=root, priv=SEQ_PRIV)
        for name, at, size, root in rows
    ]


def checkpoint():
    rows = [case(f"size_{n}", enclave=ENCLAVE, tree_size=n, root_hash=log_head(n), priv=SEQ_PRIV) for n in (0, 1, 9, 10, 257)]
    rows.append(case("other_key", enclave=ENCLAVE, tree_size=9, root_hash=log_head(9), priv=priv("other sequencer")))
    return rows + [case("greatest_size", enclave=ENCLAVE, tree_size=2**53 - 1, root_hash=hex_of("r"), priv=SEQ_PRIV)]


def sth_equivocation():
    def head(size=7, root=None, at=T0, key=SEQ_PRIV, enclave=ENCLAVE):
        return p.sign_sth(key, enclave, at, size, root or log_head(7))

    first, other = head(), log_head(8)
    rows = {
        "two_roots": (True, first, head(root=other)),
        "two_roots_at_other_times": (True, first, head(root=other, at=T0 + 9)),
        "two_roots_of_size_0": (True, head(0, trees.EMPTY.hex()), head(0, other)),
        "one_root_twice": (False, first, head(at=T0 + 60_000)),
        "two_sizes": (False, first, head(8, other)),
        "two_keys": (False, first, head(root=other, key=priv("other sequencer"))),
        "two_enclaves": (False, first, head(root=other, enclave=hex_of("elsewhere"))),
        "second_unsigned": (False, first, {**first, "root_hash": other}),
    }
    return [case(name, {"evidence": evidence}, a=a, b=b) for name, (evidence, a, b) in rows.items()]


def heads():
    made = [p.head_entry(hex_of(f"head {i}"), i + 1, log_head(i + 1)).hex() for i in range(3)]
    rows = [case(f"entry_{i}", enclave=hex_of(f"head {i}"), tree_size=i + 1, root_hash=log_head(i + 1)) for i in range(3)]
    return rows + [case("entry_bundle_of_three", entries=made)]


GROUPS = {
    f.__name__: f
    for f in (
        smt_key, smt_enclave_value, smt_bitmask, smt_leaf, smt_root, smt_proof, bundle, bundle_proof, log_entry, log_root,
        log_inclusion, log_inclusion_refused, log_consistency, log_consistency_refused, sth, checkpoint, sth_equivocation,
        heads, tile_path, tile, tile_refused,
    )
}
