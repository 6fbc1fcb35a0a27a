"""Validation of a Manifest's content (enc.md 4.1) and the rules that the pipeline reads from it."""

import re

from .json_text import jcs
from .protocol import is_public_key

MAX_BYTES, MAX_RULES, MAX_INIT, MAX_STATES, MAX_TRAITS = 256 * 1024, 1024, 1000, 255, 248

PROTOCOL_NAMES = frozenset(
    "Manifest Move Grant Revoke Transfer Gate AC_Bundle Shared Own Update Delete Pause Resume Terminate Migrate "
    "Recovered Receipt Query Pull Event EOSE Close Closed Error".split()
)
CONTEXTS = ("Self", "Sender", "Public")
OPS = frozenset("CRUDNP") | {"_" + op for op in "CRUDNP"}
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
TYPE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
STATE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
TRAIT = re.compile(r"([a-z][a-z0-9_]{0,63})\((0|[1-9][0-9]{0,8})\)")

# Members of the rows of each section; those in the second set may be left out.
ROWS = {
    "readers": ({"type", "reads"}, {"retention"}),
    "moves": ({"event", "from", "to", "operator", "ops"}, {"alias", "gate"}),
    "grants": ({"event", "operator", "scope", "trait"}, set()),
    "transfers": ({"trait", "operator", "scope"}, set()),
    "slots": ({"event", "operator", "ops", "key"}, set()),
    "lifecycle": ({"event", "operator", "ops"}, set()),
    "customs": ({"event", "operator", "ops"}, {"alias", "gate"}),
    "init": ({"identity", "state", "traits"}, set()),
}
EVENTS = {
    "moves": ("Move",),
    "grants": ("Grant", "Revoke"),
    "slots": ("Shared", "Own"),
    "lifecycle": ("Pause", "Resume", "Terminate"),
}


class InvalidManifest(ValueError):
    def __init__(self, path):
        super().__init__(path)
        self.path = path


def need(condition, path):
    if not condition:
        raise InvalidManifest(path)


def members(value, required, optional, path):
    need(isinstance(value, dict) and set(value) <= required | optional, path)
    for name in sorted(required - set(value)):
        raise InvalidManifest(f"{path}.{name}" if path else name)


def integer(value, low, high, path):
    need(isinstance(value, int) and not isinstance(value, bool) and low <= value <= high, path)


def text(value, pattern, path):
    need(isinstance(value, str) and pattern.fullmatch(value), path)


def listing(value, path, least=0):
    need(isinstance(value, list) and len(value) >= least, path)
    need(all(isinstance(item, str) for item in value), path)


def columns_of(row):
    operator = row.get("operator", [])
    return [operator] if isinstance(operator, str) else operator


class Rules:
    """What a valid Manifest says, ready to be asked."""

    def __init__(self, content, author):
        """Validates the content of a Manifest signed by `author`; raises InvalidManifest with the path of a fault."""
        self.content = content
        self.header()
        self.rbac = content["RBAC"]
        members(self.rbac, {"init"}, {"states", "traits", *ROWS} - {"init"}, "RBAC")
        self.names()
        self.restrictive = set()
        for section in ROWS:
            rows = self.rbac.get(section, [])
            need(isinstance(rows, list), f"RBAC.{section}")
            for index, row in enumerate(rows):
                self.row(section, row, f"RBAC.{section}[{index}]")
        need(sum(len(self.rows(s)) for s in ROWS if s != "init") <= MAX_RULES, "RBAC")
        self.aliases()
        self.denies()
        self.reach()
        self.init(author)

    def rows(self, section):
        return self.rbac.get(section, [])

    def header(self):
        content = self.content
        members(content, {"enc_v", "sequencer", "RBAC"}, {"bundle", "app", "desc"}, "")
        need(len(jcs(content).encode()) <= MAX_BYTES, "")
        integer(content["enc_v"], 2, 2, "enc_v")
        need(isinstance(content["sequencer"], str) and is_public_key(content["sequencer"]), "sequencer")
        for name in ("app", "desc"):
            need(isinstance(content.get(name, ""), str), name)
        bundle = content.get("bundle", {})
        members(bundle, set(), {"size", "timeout"}, "bundle")
        self.bundle_size = bundle.get("size", 256)
        self.bundle_timeout = bundle.get("timeout", 5000)
        integer(self.bundle_size, 1, 4096, "bundle.size")
        integer(self.bundle_timeout, 100, 3_600_000, "bundle.timeout")

    def names(self):
        """States are numbered from 1, traits from bit 8, each with its rank."""
        self.states, self.traits, ranks = {"OUTSIDER": 0}, {}, set()
        listing(self.rbac.get("states", []), "RBAC.states")
        for index, name in enumerate(self.rbac.get("states", [])):
            path = f"RBAC.states[{index}]"
            need(STATE.fullmatch(name) and name not in self.states and index < MAX_STATES, path)
            self.states[name] = index + 1
        listing(self.rbac.get("traits", []), "RBAC.traits")
        for index, trait in enumerate(self.rbac.get("traits", [])):
            path, found = f"RBAC.traits[{index}]", TRAIT.fullmatch(trait)
            need(found and found[1] not in self.traits and index < MAX_TRAITS, path)
            rank = int(found[2])
            need(rank not in ranks, path)
            ranks.add(rank)
            self.traits[found[1]] = (8 + index, rank)
        if "owner" in self.traits and self.traits["owner"][1] != min(ranks):
            raise InvalidManifest(f"RBAC.traits[{list(self.traits).index('owner')}]")

    def row(self, section, row, path):
        members(row, *ROWS[section], path)
        if section in EVENTS:
            need(row["event"] in EVENTS[section], f"{path}.event")
        if section == "customs":
            text(row["event"], TYPE, f"{path}.event")
            need(row["event"] not in PROTOCOL_NAMES, f"{path}.event")
        if section == "readers":
            return self.reader(row, path)
        if section == "init":
            return None
        self.operator(section, row, path)
        if "ops" in row:
            self.ops(section, row, path)
        if section == "moves":
            need(row["from"] in self.states, f"{path}.from")
            need(row["to"] in self.states and row["to"] != row["from"], f"{path}.to")
        if section == "slots":
            text(row["key"], NAME, f"{path}.key")
        if "scope" in row:
            self.scope(section, row, path)
        if "alias" in row:
            text(row["alias"], NAME, f"{path}.alias")
        if "gate" in row:
            self.gate(row, path)
        return None

    def operator(self, section, row, path):
        path += ".operator"
        if section in ("grants", "transfers"):
            need(isinstance(row["operator"], list), path)
        columns = columns_of(row)
        listing(columns, path, 1)
        for column in columns:
            need(column in self.states or column in self.traits or column in CONTEXTS, path)
            need(column != "Self" or section == "moves" or row["event"] == "Own", path)
            need(column != "Sender" or section == "customs", path)
            if section not in ("slots", "customs"):
                need(column not in ("Public", "OUTSIDER", "Sender"), path)

    def ops(self, section, row, path):
        listing(row["ops"], f"{path}.ops", 1)
        allowed = {"C", "_C"} if section in ("moves", "lifecycle") else OPS
        need(set(row["ops"]) <= allowed, f"{path}.ops")
        if "Sender" in columns_of(row):
            need(set(row["ops"]) <= {"U", "D", "_U", "_D"}, f"{path}.ops")
        if any(op.startswith("_") for op in row["ops"]):
            self.restrictive |= {column for column in columns_of(row) if column in self.traits}

    def scope(self, section, row, path):
        listing(row["scope"], f"{path}.scope", 1)
        need(set(row["scope"]) <= set(self.states), f"{path}.scope")
        traits = row["trait"] if section == "grants" else [row["trait"]]
        listing(traits, f"{path}.trait", 1)
        need(set(traits) <= set(self.traits), f"{path}.trait")

    def gate(self, row, path):
        members(row["gate"], {"operator"}, {"open"}, f"{path}.gate")
        need("alias" in row, f"{path}.alias")
        need(isinstance(row["gate"].get("open", False), bool), f"{path}.gate.open")
        operator = row["gate"]["operator"]
        listing(operator, f"{path}.gate.operator", 1)
        plain = set(self.states) - {"OUTSIDER"} | set(self.traits)
        need(set(operator) <= plain, f"{path}.gate.operator")

    def reader(self, row, path):
        column = row["type"]
        need(column in self.states or column in self.traits or column == "Public", f"{path}.type")
        if row["reads"] != "*":
            listing(row["reads"], f"{path}.reads", 1)
            for name in row["reads"]:
                text(name, TYPE, f"{path}.reads")
        need(row.get("retention", "current") in ("current", "snapshot"), f"{path}.retention")

    def aliases(self):
        self.gates = {}
        seen = set()
        for section in ("moves", "customs"):
            for index, row in enumerate(self.rows(section)):
                if "alias" not in row:
                    continue
                need(row["alias"] not in seen, f"RBAC.{section}[{index}].alias")
                seen.add(row["alias"])
                if "gate" in row:
                    self.gates[row["alias"]] = row["gate"]

    def denies(self):
        """Traits with power over others may not be denied anything, nor may a restrictive trait change hands."""
        powers = {"owner"}
        for section in ("moves", "grants", "transfers", "lifecycle"):
            for row in self.rows(section):
                if "C" in row.get("ops", ["C"]):
                    powers |= set(columns_of(row))
        for gate in self.gates.values():
            powers |= set(gate["operator"])
        for section in ("moves", "slots", "lifecycle", "customs"):
            for index, row in enumerate(self.rows(section)):
                denied = any(op.startswith("_") for op in row["ops"])
                traits = {column for column in columns_of(row) if column in self.traits}
                need(not (denied and traits & powers), f"RBAC.{section}[{index}].operator")
        for index, row in enumerate(self.rows("transfers")):
            need(row["trait"] not in self.restrictive, f"RBAC.transfers[{index}].trait")

    def reach(self):
        rows = [row for row in self.rows("moves") if "C" in row["ops"]]
        begun = {entry.get("state") for entry in self.rows("init") if isinstance(entry, dict)}
        for index, name in enumerate(self.rbac.get("states", [])):
            moved_to = any(row["to"] == name for row in rows)
            left = any(row["from"] == name for row in rows)
            need(left if moved_to else name in begun, f"RBAC.states[{index}]")

    def init(self, author):
        need(len(self.rows("init")) <= MAX_INIT, "RBAC.init")
        seen = set()
        for index, entry in enumerate(self.rows("init")):
            path = f"RBAC.init[{index}]"
            identity = entry["identity"]
            need(isinstance(identity, str) and is_public_key(identity), f"{path}.identity")
            need(identity not in seen, f"{path}.identity")
            seen.add(identity)
            need(entry["state"] in self.states, f"{path}.state")
            listing(entry["traits"], f"{path}.traits")
            unique = len(set(entry["traits"])) == len(entry["traits"])
            need(unique and set(entry["traits"]) <= set(self.traits), f"{path}.traits")
        need(author in seen, "RBAC.init")

    # --- what the pipeline asks

    def mask(self, state, traits):
        return self.states[state] | sum(1 << self.traits[name][0] for name in traits)

    def state_of(self, mask):
        return list(self.states)[mask & 255]

    def traits_of(self, mask):
        return {name for name, (bit, _) in self.traits.items() if mask >> bit & 1}

    def rank(self, mask):
        """The least rank number, infinity where there is none."""
        ranks = [self.traits[name][1] for name in self.traits_of(mask) - self.restrictive]
        if self.state_of(mask) == "OWNER":
            ranks.append(0)
        return min(ranks, default=float("inf"))
