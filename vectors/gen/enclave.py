"""One enclave from its Manifest on: the pipeline of enc.md section 3, bundles, log, snapshot and restore."""

from . import cbor, trees
from . import protocol as p
from .manifest import InvalidManifest, Rules
from .roles import Refusal, State, need

MAGIC = b"ENC1"
CLOSING = ("Migrate", "Terminate")


class Enclave:
    """A log under one sequencer key, told the time."""

    def __init__(self, seq_priv):
        self.seq_priv = seq_priv
        self.events, self.roots, self.counts, self.entries = [], [], [], []
        self.open = []
        self.sths, self.checkpoints, self.snapshots_of_state = [], [], []
        self.hashes = set()
        self.type_counts = {}
        self.taken_up = False

    # --- pipeline

    def submit(self, commit, now):
        """Judges a commit at a time; returns the event, or raises Refusal and changes nothing but due bundles."""
        t = max(now, self.events[-1]["timestamp"] if self.events else 0)
        need(t - now <= p.SKEW_MS, "clock_behind")
        self.close_due(t)
        need(commit["exp"] >= t - p.SKEW_MS, "expired")
        need(commit["exp"] <= t + p.MAX_EXP_AHEAD_MS, "exp_too_far")
        digest = p.commit_hash(commit)
        need(digest.hex() == commit["hash"], "invalid_hash")
        need(p.signed_by(commit["from"], digest, commit["sig"]), "invalid_signature")
        need(commit["hash"] not in self.hashes, "duplicate")
        if self.events:
            self.judge(commit)
        else:
            self.found(commit, t)
        return self.append(commit, t)

    def found(self, commit, t):
        content = commit["content"]
        need(commit["type"] == "Manifest", "enclave_not_found")
        self.derives(commit)
        try:
            self.rules = Rules(content, commit["from"])
        except InvalidManifest as fault:
            raise Refusal("invalid_manifest", path=fault.path) from None
        if content["sequencer"] != p.pub_hex(self.seq_priv):
            raise Refusal("invalid_manifest", path="sequencer")
        self.id = commit["enclave"]
        self.state = State(self.rules)
        self.sign_head(t)

    @staticmethod
    def derives(commit):
        """A Manifest's enclave is the id that follows from it."""
        if p.enclave_id(commit["from"], commit["content"], commit.get("tags", [])) != commit["enclave"]:
            raise Refusal("invalid_manifest", path="enclave")

    def judge(self, commit):
        kind, content = commit["type"], commit.get("content")
        trial = self.state.copy()
        if self.taken_up:
            trial.set_status("active")
        trial.lifecycle_gate(kind)
        if kind == "Manifest":
            self.derives(commit)
            raise Refusal("enclave_exists")
        trial.apply(commit["from"], kind, content, commit.get("tags", []))
        if kind == "Migrate":
            self.compare_head(content)
        self.state = trial

    def compare_head(self, content):
        """A Migrate names the log as it stands."""
        last = self.events[-1]
        need(content["prev_seq"] == last["seq"] and content["ct_root"] == self.root().hex(), "bad_state")
        need(content.get("prev", p.event_hash(last).hex()) == p.event_hash(last).hex(), "bad_state")
        need(content["new_sequencer"] != last["sequencer"], "invalid_structure")

    def append(self, commit, t):
        kind = commit["type"]
        prev = p.event_hash(self.events[-1]).hex() if self.events else "00" * 32
        type_seq = self.type_counts.get(kind, 0)
        event = p.sequence(commit, self.seq_priv, len(self.events), type_seq, t, prev)
        self.type_counts[kind] = type_seq + 1
        self.hashes.add(commit["hash"])
        self.taken_up = False
        self.keep(event)
        if len(self.open) == self.rules.bundle_size or kind in CLOSING:
            self.close(t)
        return event

    def keep(self, event):
        """Files an event whose effect on roles, slots and lifecycle was already judged."""
        self.state.origin[event["id"]] = (event["from"], event["type"])
        if event["type"] == "Update":
            self.state.set_leaf(1, bytes.fromhex(reference(event)), bytes.fromhex(event["id"]))
        self.events.append(event)
        self.open.append(event)
        self.roots.append(trees.state_root(self.state.leaves))

    # --- bundles and heads

    def close_due(self, t):
        if self.open and t >= self.open[0]["timestamp"] + self.rules.bundle_timeout:
            self.close(self.open[0]["timestamp"] + self.rules.bundle_timeout)

    def close(self, at):
        self.enter_bundle()
        self.sign_head(at)

    def enter_bundle(self):
        root = trees.events_root([bytes.fromhex(e["id"]) for e in self.open])
        commit = trees.state_commit(p.event_hash(self.open[-1]), self.roots[-1])
        self.entries.append(trees.log_entry(root, commit, self.open[0]["seq"], len(self.open)))
        self.counts.append(len(self.open))
        self.snapshots_of_state.append(dict(self.state.leaves))
        self.open = []

    def root(self):
        return trees.log_root([trees.log_leaf(e) for e in self.entries])

    def sign_head(self, at):
        size, root = len(self.entries), self.root().hex()
        self.sths.append(p.sign_sth(self.seq_priv, self.id, at, size, root))
        self.checkpoints.append(p.checkpoint(self.seq_priv, self.id, size, root)[1])

    def take_up(self, seq_priv, at):
        """A Migrate makes the log live under its new key: that key signs the tree it took over."""
        self.seq_priv, self.taken_up = seq_priv, True
        self.sign_head(at)

    # --- what is served

    def served(self):
        """All events as a reader of everything sees them: deleted ones, and Updates of deleted ones, without content."""
        return [without_content(e) if self.is_deleted(e) else e for e in self.events]

    def is_deleted(self, event):
        updated = reference(event) if event["type"] == "Update" else None
        return event["id"] in self.state.deleted or updated in self.state.deleted

    def snapshot(self):
        sth = self.sths[-1]
        return MAGIC + cbor.encode({
            "manifest": self.events[0],
            "events": self.served(),
            "bundles": self.counts,
            "sth": sth,
            "seq_pub": bytes.fromhex(sth["sequencer"]),
        })


def reference(event):
    return next(tag[1] for tag in event["tags"] if tag[0] == "r")


def without_content(event):
    kept = {name: value for name, value in event.items() if name != "content"}
    return {**kept, "content_hash": p.content_hash_of(event).hex(), "deleted": True}


def restore(data):
    """The enclave that a snapshot holds, without any key; raises ValueError where anything in it does not hold."""
    if data[:4] != MAGIC:
        raise ValueError("no snapshot")
    image = cbor.decode(data[4:])
    if set(image) != {"manifest", "events", "bundles", "sth", "seq_pub"}:
        raise ValueError("other members")
    replayed = Replay(image["events"])
    for count in [*image["bundles"], None]:
        replayed.bundle(count)
    replayed.finish(image)
    return replayed


class Replay(Enclave):
    """Restore's replay of steps 1 to 8 with the stored timestamps as the clock."""

    def __init__(self, events):
        super().__init__(None)
        self.given = list(events)
        self.sequencer = None

    def bundle(self, count):
        """Replays the events of one closed bundle, or (None) what is left, the open one."""
        rest = len(self.given) - len(self.events)
        take = rest if count is None else count
        if not (0 < take <= rest or take == rest == 0 and count is None):
            raise ValueError("bundle beyond the events")
        for _ in range(take):
            self.replay(self.given[len(self.events)])
        if not self.events or take > self.rules.bundle_size:
            raise ValueError("bundle too large")
        if any(e["type"] in CLOSING for e in self.open[:-1]):
            raise ValueError("an event after the one that closes")
        if self.open and self.open[-1]["timestamp"] >= self.open[0]["timestamp"] + self.rules.bundle_timeout:
            raise ValueError("an event at or after due")
        if count is not None:
            return self.enter_bundle()
        if self.open and (len(self.open) == self.rules.bundle_size or self.open[-1]["type"] in CLOSING):
            raise ValueError("a bundle that must be closed is open")
        return None

    def replay(self, event):
        if not self.events:
            self.sequencer = event["content"]["sequencer"]
            self.seq_priv = None
            self.replay_manifest(event)
        else:
            self.replay_later(event)
        seq, kind = len(self.events), event["type"]
        prev = p.event_hash(self.events[-1]).hex() if self.events else "00" * 32
        expected = (seq, self.type_counts.get(kind, 0), prev)
        if (event["seq"], event["type_seq"], event["prev"]) != expected or event["hash"] in self.hashes:
            raise ValueError("out of sequence")
        if not p.event_holds(event, self.sequencer):
            raise ValueError("a signature, hash or time does not hold")
        self.type_counts[kind] = expected[1] + 1
        self.hashes.add(event["hash"])
        self.keep(event)
        if kind == "Migrate":
            self.sequencer = event["content"]["new_sequencer"]

    def replay_manifest(self, event):
        content, tags = event["content"], event["tags"]
        if event["type"] != "Manifest" or p.enclave_id(event["from"], content, tags) != event["enclave"]:
            raise ValueError("no Manifest, or an unbound id")
        self.id, self.rules = event["enclave"], Rules(content, event["from"])
        self.state = State(self.rules)

    def replay_later(self, event):
        last, kind = self.events[-1], event["type"]
        if event["enclave"] != self.id or event["timestamp"] < last["timestamp"]:
            raise ValueError("another enclave, or time going back")
        if last["type"] == "Migrate":
            self.state.set_status("active")
        self.state.lifecycle_gate(kind)
        self.state.apply(event["from"], kind, event.get("content"), event["tags"])
        if kind == "Migrate":
            self.compare_head(event["content"])

    def finish(self, image):
        as_served = all(("content" not in e) == self.is_deleted(e) == ("deleted" in e) for e in self.events)
        if not as_served or image["manifest"] != self.events[0]:
            raise ValueError("not as served")
        sth = image["sth"]
        expected = (self.id, len(self.entries), self.root().hex(), image["seq_pub"].hex())
        if (sth["enclave"], sth["tree_size"], sth["root_hash"], sth["sequencer"]) != expected or not p.sth_holds(sth):
            raise ValueError("the tree head is another log's")
        signers = {self.events[-1]["sequencer"], self.sequencer}
        if sth["sequencer"] not in signers:
            raise ValueError("the tree head is signed by a key outside the chain")
