"""Permission and AC logic, steps 7 and 8 of enc.md section 3, over an enclave's present state."""

import copy

from .manifest import columns_of
from .protocol import content_hash, is_public_key
from .trees import state_key

# How far a rule got before it refused (enc.md 4.3); the answer is that of the rule that got furthest.
STAGES = ("unauthorized", "not_found", "rank_too_low", "bad_state", "gate_closed")
OPEN = b"\x01" * 32
LIFECYCLE = {"paused": 1, "terminated": 2, "migrated": 3}


class Refusal(ValueError):
    def __init__(self, code, **members):
        super().__init__(code)
        self.code = code
        self.members = members


def need(condition, code):
    if not condition:
        raise Refusal(code)


def shape(content, required, optional=(), free=False):
    need(isinstance(content, dict) and set(required) <= set(content), "invalid_structure")
    need(free or set(content) <= set(required) | set(optional), "invalid_structure")


def be256(n):
    return n.to_bytes(32, "big")


class State:
    """Everything that a later event can depend on, and the leaves of the state tree."""

    def __init__(self, rules):
        self.rules = rules
        self.masks = {}
        self.gates = {alias: gate.get("open", False) for alias, gate in rules.gates.items()}
        self.slots = set()
        self.origin = {}
        self.deleted = set()
        self.status = "active"
        self.leaves = {}
        for entry in rules.rows("init"):
            self.set_mask(entry["identity"], rules.mask(entry["state"], entry["traits"]))
        for alias, is_open in self.gates.items():
            self.set_gate(alias, is_open)

    def copy(self):
        twin = copy.copy(self)
        for name in ("masks", "gates", "slots", "origin", "deleted", "leaves"):
            setattr(twin, name, getattr(self, name).copy())
        return twin

    def set_leaf(self, namespace, raw, value):
        key = state_key(namespace, raw)
        if value is None:
            self.leaves.pop(key, None)
        else:
            self.leaves[key] = value

    def set_mask(self, identity, mask):
        self.masks[identity] = mask
        self.set_leaf(0, bytes.fromhex(identity), be256(mask) if mask else None)

    def set_gate(self, alias, is_open):
        self.gates[alias] = is_open
        self.set_leaf(3, b"gate:" + alias.encode(), OPEN if is_open else None)

    def set_status(self, status):
        self.status = status
        self.set_leaf(3, b"lifecycle", be256(LIFECYCLE[status]) if status in LIFECYCLE else None)

    def mask(self, identity):
        return self.masks.get(identity, 0)

    def columns(self, identity, *contexts):
        mask = self.mask(identity)
        return {self.rules.state_of(mask), "Public", *self.rules.traits_of(mask), *contexts}

    def lifecycle_gate(self, kind):
        """Step 6."""
        need(self.status != "terminated", "enclave_terminated")
        need(self.status != "migrated", "enclave_migrated")
        need(self.status != "paused" or kind in ("Resume", "Terminate", "Migrate"), "enclave_paused")

    def apply(self, author, kind, content, tags):
        """Steps 7 and 8 of one commit; changes the state or raises Refusal and leaves it as it was."""
        twin = self.copy()
        judge = JUDGES.get(kind, judge_custom)
        judge(twin, author, kind, content, tags)
        self.__dict__.update(twin.__dict__)

    def outranks(self, author, target):
        theirs = self.rules.rank(self.mask(target))
        return theirs == float("inf") or self.rules.rank(self.mask(author)) < theirs

    def is_last_owner(self, identity):
        holders = [i for i, mask in self.masks.items() if self.owns(mask)]
        return holders == [identity]

    def owns(self, mask):
        if "owner" in self.rules.traits:
            return "owner" in self.rules.traits_of(mask)
        return self.rules.state_of(mask) == "OWNER"

    def change_mask(self, identity, mask):
        """Sets a bitmask unless that would leave the enclave without an owner."""
        if self.owns(self.mask(identity)) and not self.owns(mask):
            need(not self.is_last_owner(identity), "bad_state")
        self.set_mask(identity, mask)


def matches(row, columns):
    return bool(set(columns_of(row)) & columns)


def permits(rows, columns, op):
    """The rows that give an operation, none where any matching row denies it."""
    if any(matches(row, columns) and "_" + op in row["ops"] for row in rows):
        return []
    return [row for row in rows if matches(row, columns) and op in row["ops"]]


def furthest(candidates, attempt):
    """Tries every candidate; one that passes is enough, else the refusal of the one that got furthest."""
    worst = Refusal("unauthorized")
    for row in candidates:
        try:
            return attempt(row)
        except Refusal as refusal:
            if STAGES.index(refusal.code) > STAGES.index(worst.code):
                worst = refusal
    raise worst


def target_of(content):
    need(isinstance(content["target"], str) and is_public_key(content["target"]), "invalid_structure")
    return content["target"]


def pass_gate(state, row):
    if "gate" in row:
        need(state.gates[row["alias"]], "gate_closed")


def judge_move(state, author, _kind, content, _tags):
    shape(content, ("target", "to"), free=True)
    target, to = target_of(content), content["to"]
    need(isinstance(to, str), "invalid_structure")
    rules, rows = state.rules, state.rules.rows("moves")
    columns = state.columns(author, *(["Self"] if author == target else []))
    need(any(matches(row, columns) for row in rows), "unauthorized")

    def attempt(row):
        same = [r for r in rows if (r["from"], r["to"]) == (row["from"], to)]
        need(row in permits(same, columns, "C"), "unauthorized")
        if author == target:
            need("Self" in columns_of(row), "rank_too_low")
        else:
            need(state.outranks(author, target), "rank_too_low")
        mask = state.mask(target)
        need(rules.state_of(mask) == row["from"], "bad_state")
        kept = rules.traits_of(mask)
        if author != target or to == "OUTSIDER":
            kept &= rules.restrictive
        trial = state.copy()
        trial.change_mask(target, rules.mask(to, kept))
        pass_gate(state, row)
        state.__dict__.update(trial.__dict__)

    furthest([row for row in rows if row["to"] == to], attempt)


def judge_grant(state, author, kind, content, _tags):
    shape(content, ("target", "trait"))
    target, trait = target_of(content), content["trait"]
    need(isinstance(trait, str), "invalid_structure")
    rules, mask = state.rules, state.mask(target)
    held = trait in rules.traits_of(mask)
    if kind == "Revoke" and author == target and trait in set(rules.traits) - rules.restrictive:
        need(held, "bad_state")
        return state.change_mask(target, mask ^ 1 << rules.traits[trait][0])
    rows = [row for row in rules.rows("grants") if row["event"] == kind]
    columns = state.columns(author)
    need(any(matches(row, columns) for row in rows), "unauthorized")

    def attempt(row):
        need(matches(row, columns), "unauthorized")
        need(author == target or state.outranks(author, target), "rank_too_low")
        need(kind == "Grant" or author != target, "rank_too_low")
        need(rules.rank(state.mask(author)) < rules.traits[trait][1], "rank_too_low")
        need(rules.state_of(mask) in row["scope"] and held == (kind == "Revoke"), "bad_state")
        state.change_mask(target, mask ^ 1 << rules.traits[trait][0])

    return furthest([row for row in rows if trait in row["trait"]], attempt)


def judge_transfer(state, author, _kind, content, _tags):
    shape(content, ("target", "trait"))
    target, trait = target_of(content), content["trait"]
    need(isinstance(trait, str), "invalid_structure")
    rules, rows, columns = state.rules, state.rules.rows("transfers"), state.columns(author)
    need(any(matches(row, columns) for row in rows), "unauthorized")

    def attempt(row):
        need(matches(row, columns), "unauthorized")
        mine, theirs = state.mask(author), state.mask(target)
        bit, rank = rules.traits[trait]
        need(author == target or rules.rank(theirs) > rank, "rank_too_low")
        need(mine >> bit & 1 and not theirs >> bit & 1 and author != target, "bad_state")
        need(rules.state_of(theirs) in row["scope"], "bad_state")
        state.set_mask(author, mine ^ 1 << bit)
        state.set_mask(target, theirs | 1 << bit)

    furthest([row for row in rows if row["trait"] == trait], attempt)


def judge_gate(state, author, _kind, content, _tags):
    shape(content, ("alias", "open"))
    alias, wanted = content["alias"], content["open"]
    need(isinstance(alias, str) and isinstance(wanted, bool), "invalid_structure")
    gates, columns = state.rules.gates, state.columns(author)
    need(any(matches(gate, columns) for gate in gates.values()), "unauthorized")
    need(alias in gates, "not_found")
    need(matches(gates[alias], columns), "unauthorized")
    need(state.gates[alias] != wanted, "bad_state")
    state.set_gate(alias, wanted)


def judge_ac_bundle(state, author, _kind, content, tags):
    shape(content, ("ops",))
    need(isinstance(content["ops"], list) and 1 <= len(content["ops"]) <= 64, "invalid_structure")
    for index, op in enumerate(content["ops"]):
        try:
            shape(op, ("type", "content"))
            need(op["type"] in ("Move", "Grant", "Revoke", "Transfer", "Gate"), "invalid_structure")
            state.apply(author, op["type"], op["content"], tags)
        except Refusal as refusal:
            raise Refusal(refusal.code, index=index) from None


def judge_slot(state, author, kind, content, _tags):
    shape(content, ("key", "value"))
    key, value = content["key"], content["value"]
    need(isinstance(key, str), "invalid_structure")
    rows = [row for row in state.rules.rows("slots") if row["event"] == kind]
    columns = state.columns(author, *(["Self"] if kind == "Own" else []))
    need(any(matches(row, columns) for row in rows), "unauthorized")
    candidates = [row for row in rows if row["key"] == key]
    need(candidates, "not_found")
    raw = b"\x00" + key.encode() if kind == "Shared" else b"\x01" + bytes.fromhex(author) + key.encode()
    op = "D" if value is None else "U" if raw in state.slots else "C"
    need(permits(candidates, columns, op), "unauthorized")
    need(value is not None or raw in state.slots, "not_found")
    (state.slots.discard if value is None else state.slots.add)(raw)
    state.set_leaf(2, raw, None if value is None else content_hash(value))


def judge_reference(state, author, kind, _content, tags):
    references = [tag for tag in tags if tag[0] == "r"]
    need(len(references) == 1 and len(references[0]) == 2, "invalid_structure")
    referred = references[0][1]
    need(referred in state.origin, "not_found")
    sender, event_type = state.origin[referred]
    rows = [row for row in state.rules.rows("customs") if row["event"] == event_type]
    columns = state.columns(author, *(["Sender"] if author == sender else []))

    def attempt(row):
        need(referred not in state.deleted, "bad_state")
        pass_gate(state, row)

    furthest(permits(rows, columns, kind[0]), attempt)
    if kind == "Delete":
        state.deleted.add(referred)
        state.set_leaf(1, bytes.fromhex(referred), bytes(32))


def judge_lifecycle(state, author, kind, content, _tags):
    shape(content, ())
    rows = [row for row in state.rules.rows("lifecycle") if row["event"] == kind]
    need(permits(rows, state.columns(author), "C"), "unauthorized")
    need(kind != "Resume" or state.status == "paused", "bad_state")
    state.set_status({"Pause": "paused", "Resume": "active", "Terminate": "terminated"}[kind])


def judge_migrate(state, author, _kind, content, _tags):
    """The comparison with the log's own head is the caller's: it knows the log."""
    shape(content, ("new_sequencer", "prev_seq", "ct_root"), ("prev",))
    need(isinstance(content["new_sequencer"], str) and is_public_key(content["new_sequencer"]), "invalid_structure")
    need(state.owns(state.mask(author)), "unauthorized")
    state.set_status("migrated")


def judge_custom(state, author, kind, _content, _tags):
    rows = [row for row in state.rules.rows("customs") if row["event"] == kind]
    furthest(permits(rows, state.columns(author), "C"), lambda row: pass_gate(state, row))


JUDGES = {
    "Move": judge_move,
    "Grant": judge_grant,
    "Revoke": judge_grant,
    "Transfer": judge_transfer,
    "Gate": judge_gate,
    "AC_Bundle": judge_ac_bundle,
    "Shared": judge_slot,
    "Own": judge_slot,
    "Update": judge_reference,
    "Delete": judge_reference,
    "Pause": judge_lifecycle,
    "Resume": judge_lifecycle,
    "Terminate": judge_lifecycle,
    "Migrate": judge_migrate,
}
