"""Puts the generated cases together with what they are expected to give."""

import json

from . import (
    cases_enclaves,
    cases_events,
    cases_manifest,
    cases_primitives,
    cases_roles,
    cases_sessions,
    cases_trees,
)
from .replays import recompute

ABOUT = (
    "Test vectors for the ENC protocol, edition 2.1, made by vectors/gen.py from the standards' texts alone; same groups and "
    "member names as enc-vectors.json, other values, and some groups more. Bytes are lower-case hex. A case with valid:false, "
    "error, opens:false or evidence is negative. In a script's tags \"$n\" stands for the id of event n. In a template \"SEQ\" "
    "and \"ME\" are filled with `sequencer` and `from`."
)
MODULES = (cases_primitives, cases_events, cases_sessions, cases_trees, cases_enclaves, cases_roles, cases_manifest)


class Unexpected(ValueError):
    """A case came out otherwise than its author says it must."""


def groups():
    made = {}
    for module in MODULES:
        for group, rows in module.GROUPS.items():
            made[group] = []
            for name, given, must in rows():
                case = {"name": name, "input": given}
                case["expected"] = recompute(made, group, case)
                agree(group, case, must)
                made[group].append(case)
    return made


def agree(group, case, must):
    expected, name = case["expected"], case["name"]
    for member, value in must.items():
        if member not in expected or value is not ... and expected[member] != value:
            raise Unexpected(f"{group}/{name}: {member} must be {value!r}, is {expected.get(member)!r}")


def document():
    """The text of generated.json: one case a line."""
    made = groups()
    lines = []
    for group, cases in made.items():
        names = [c["name"] for c in cases]
        if len(set(names)) != len(names):
            raise Unexpected(f"{group}: a name occurs twice")
        body = ",\n".join("   " + json.dumps(c, separators=(",", ":")) for c in cases)
        lines.append(f'  {json.dumps(group)}: [\n{body}\n  ]')
    count = sum(map(len, made.values()))
    text = ",\n".join(lines)
    return f'{{\n "about": {json.dumps(ABOUT)},\n "groups": {{\n{text}\n }},\n "cases": {count}\n}}\n'


def first_difference(committed, fresh):
    """The first group in which two documents differ, None where they are the same text."""
    if committed == fresh:
        return None
    old, new = json.loads(committed), json.loads(fresh)
    for group in [*new["groups"], *old["groups"]]:
        if new["groups"].get(group) != old["groups"].get(group):
            return group
    return "about, cases or layout"
