"""Cases of roles: rank, and the answers of step 8."""

from .cases_events import load_template
from .judges import fill_template
from .sources import NODE, byte_pub, case, no_curve_x, pub
from .trees import EMPTY

OWNER, ADMIN, SECOND, MEMBER, MUTED, BLOCKED, READER, STRANGER = (
    byte_pub(byte) for byte in (0x01, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57)
)


def group_manifest():
    """The group template with some people in it."""
    content = fill_template(load_template("group"), NODE, OWNER)
    content["RBAC"]["init"] += [
        {"identity": ADMIN, "state": "MEMBER", "traits": ["admin"]},
        {"identity": SECOND, "state": "MEMBER", "traits": ["admin"]},
        {"identity": MEMBER, "state": "MEMBER", "traits": []},
        {"identity": MUTED, "state": "MEMBER", "traits": ["muted", "dataview"]},
        {"identity": BLOCKED, "state": "BLOCKED", "traits": ["muted"]},
        {"identity": READER, "state": "OUTSIDER", "traits": ["dataview"]},
    ]
    return content


def dm_manifest():
    content = fill_template(load_template("dm"), NODE, OWNER)
    content["RBAC"]["init"] += [
        {"identity": MEMBER, "state": "FRIEND", "traits": []},
        {"identity": BLOCKED, "state": "BLOCKED", "traits": []},
    ]
    return content


def personal_manifest():
    return fill_template(load_template("personal"), NODE, OWNER)


def move(target, to):
    return "Move", {"target": target, "to": to}


def grant(target, trait):
    return "Grant", {"target": target, "trait": trait}


def revoke(target, trait):
    return "Revoke", {"target": target, "trait": trait}


def transfer(target, trait):
    return "Transfer", {"target": target, "trait": trait}


def in_group():
    return {
        "admin_admits": (None, ADMIN, move(STRANGER, "MEMBER")),
        "admin_admits_a_reader_who_loses_it": (None, ADMIN, move(READER, "MEMBER")),
        "admin_removes_a_member": (None, ADMIN, move(MEMBER, "OUTSIDER")),
        "admin_blocks_the_muted": (None, ADMIN, move(MUTED, "BLOCKED")),
        "admin_moves_the_owner": ("rank_too_low", ADMIN, move(OWNER, "OUTSIDER")),
        "admin_moves_another_admin": ("rank_too_low", ADMIN, move(SECOND, "BLOCKED")),
        "owner_moves_an_admin": (None, OWNER, move(ADMIN, "OUTSIDER")),
        "member_admits": ("unauthorized", MEMBER, move(STRANGER, "MEMBER")),
        "member_leaves": (None, MEMBER, move(MEMBER, "OUTSIDER")),
        "muted_leaves_and_keeps_muted": (None, MUTED, move(MUTED, "OUTSIDER")),
        "admin_leaves": (None, ADMIN, move(ADMIN, "OUTSIDER")),
        "last_owner_leaves": ("bad_state", OWNER, move(OWNER, "OUTSIDER")),
        "stranger_applies_at_a_closed_gate": ("gate_closed", STRANGER, move(STRANGER, "PENDING")),
        "stranger_joins_at_a_closed_gate": ("gate_closed", STRANGER, move(STRANGER, "MEMBER")),
        "blocked_frees_himself": ("bad_state", BLOCKED, move(BLOCKED, "OUTSIDER")),
        "unblocked_stays_muted": (None, ADMIN, move(BLOCKED, "OUTSIDER")),
        "blocked_to_member_directly": ("bad_state", ADMIN, move(BLOCKED, "MEMBER")),
        "admin_mutes": (None, ADMIN, grant(MEMBER, "muted")),
        "admin_mutes_the_muted": ("bad_state", ADMIN, grant(MUTED, "muted")),
        "admin_mutes_an_admin": ("rank_too_low", ADMIN, grant(SECOND, "muted")),
        "admin_mutes_outside_the_scope": ("bad_state", ADMIN, grant(STRANGER, "muted")),
        "admin_unmutes": (None, ADMIN, revoke(MUTED, "muted")),
        "muted_unmutes_himself": ("unauthorized", MUTED, revoke(MUTED, "muted")),
        "muted_gives_up_dataview": (None, MUTED, revoke(MUTED, "dataview")),
        "reader_gives_up_dataview": (None, READER, revoke(READER, "dataview")),
        "member_gives_up_what_he_has_not": ("bad_state", MEMBER, revoke(MEMBER, "dataview")),
        "owner_makes_an_admin": (None, OWNER, grant(MEMBER, "admin")),
        "owner_unmakes_an_admin": (None, OWNER, revoke(ADMIN, "admin")),
        "admin_makes_an_admin": ("unauthorized", ADMIN, grant(MEMBER, "admin")),
        "owner_gives_dataview_to_a_stranger": (None, OWNER, grant(STRANGER, "dataview")),
        "owner_gives_up_owner": ("bad_state", OWNER, revoke(OWNER, "owner")),
        "owner_gives_up_admin": (None, OWNER, revoke(OWNER, "admin")),
        "transfer_to_a_member": (None, OWNER, transfer(MEMBER, "owner")),
        "transfer_to_an_admin": (None, OWNER, transfer(ADMIN, "owner")),
        "transfer_outside_the_scope": ("bad_state", OWNER, transfer(STRANGER, "owner")),
        "transfer_by_an_admin": ("unauthorized", ADMIN, transfer(MEMBER, "owner")),
        "transfer_of_what_no_rule_lists": ("unauthorized", OWNER, transfer(MEMBER, "admin")),
    }


def elsewhere():
    return {
        "dm_owner_befriends": (None, dm_manifest(), OWNER, move(STRANGER, "FRIEND")),
        "dm_owner_blocks_a_friend": (None, dm_manifest(), OWNER, move(MEMBER, "BLOCKED")),
        "dm_friend_leaves": ("unauthorized", dm_manifest(), MEMBER, move(MEMBER, "OUTSIDER")),
        "dm_owner_moves_himself": ("rank_too_low", dm_manifest(), OWNER, move(OWNER, "FRIEND")),
        "personal_owner_grants": (None, personal_manifest(), OWNER, grant(STRANGER, "dataview")),
        "personal_owner_revokes_the_absent": ("bad_state", personal_manifest(), OWNER, revoke(STRANGER, "dataview")),
        "personal_stranger_grants": ("unauthorized", personal_manifest(), STRANGER, grant(STRANGER, "dataview")),
    }


def rank():
    rows = [
        case(name, {"error": error}, manifest=group_manifest(), author=author, type=op[0], content=op[1])
        for name, (error, author, op) in in_group().items()
    ]
    return rows + [
        case(name, {"error": error}, manifest=content, author=author, type=op[0], content=op[1])
        for name, (error, content, author, op) in elsewhere().items()
    ]


# --- step 8


def ops(*pairs):
    return {"ops": [{"type": kind, "content": content} for kind, content in pairs]}


def migrate(**members):
    return {"new_sequencer": pub("other sequencer"), "prev_seq": 0, "ct_root": EMPTY.hex(), **members}


def gate(alias, is_open):
    return {"alias": alias, "open": is_open}


def slot(key, value):
    return {"key": key, "value": value}


def step_8_rows():
    return {
        "custom_by_member": (None, MEMBER, "message", "any"),
        "custom_by_muted": ("unauthorized", MUTED, "message", "any"),
        "custom_by_stranger": ("unauthorized", STRANGER, "message", "any"),
        "custom_by_admin_only": ("unauthorized", MEMBER, "notice", {}),
        "custom_nobody_declared": ("unauthorized", OWNER, "poll", {}),
        "custom_type_of_another_case": ("unauthorized", MEMBER, "Message", {}),
        "slot_set": (None, ADMIN, "Shared", slot("topic", [1])),
        "slot_set_by_member": ("unauthorized", MEMBER, "Shared", slot("topic", 1)),
        "slot_deleted_while_empty": ("not_found", ADMIN, "Shared", slot("topic", None)),
        "slot_unknown": ("not_found", ADMIN, "Shared", slot("profile", 1)),
        "own_slot_set": (None, MEMBER, "Own", slot("profile", {"n": 1})),
        "own_slot_deleted_while_empty": ("not_found", MEMBER, "Own", slot("profile", None)),
        "own_slot_of_a_stranger": ("unauthorized", STRANGER, "Own", slot("profile", 1)),
        "own_slot_unknown": ("not_found", MEMBER, "Own", slot("topic", 1)),
        "slot_without_a_value": ("invalid_structure", ADMIN, "Shared", {"key": "topic"}),
        "slot_with_more": ("invalid_structure", ADMIN, "Shared", {"key": "topic", "value": 1, "x": 1}),
        "gate_opened": (None, ADMIN, "Gate", gate("applications", True)),
        "gate_closed_already": ("bad_state", ADMIN, "Gate", gate("applications", False)),
        "gate_of_the_owner_by_admin": ("unauthorized", ADMIN, "Gate", gate("auto_join", True)),
        "gate_of_the_owner": (None, OWNER, "Gate", gate("auto_join", True)),
        "gate_unknown": ("not_found", ADMIN, "Gate", gate("door", True)),
        "gate_by_member": ("unauthorized", MEMBER, "Gate", gate("door", True)),
        "gate_with_a_number": ("invalid_structure", ADMIN, "Gate", gate("applications", 1)),
        "pause": (None, OWNER, "Pause", {}),
        "pause_by_admin": ("unauthorized", ADMIN, "Pause", {}),
        "pause_with_content": ("invalid_structure", OWNER, "Pause", {"why": 1}),
        "resume_while_active": ("bad_state", OWNER, "Resume", {}),
        "terminate": (None, OWNER, "Terminate", {}),
        "migrate_by_owner": (None, OWNER, "Migrate", migrate()),
        "migrate_by_admin": ("unauthorized", ADMIN, "Migrate", migrate()),
        "migrate_with_more": ("invalid_structure", OWNER, "Migrate", migrate(note="x")),
        "migrate_to_no_key": ("invalid_structure", OWNER, "Migrate", migrate(new_sequencer=no_curve_x("s").hex())),
        "recovered_from_the_wire": ("unauthorized", OWNER, "Recovered", {"prev_seq": 0}),
        "move_to_no_key": ("invalid_structure", ADMIN, "Move", {"target": no_curve_x("t").hex(), "to": "MEMBER"}),
        "move_to_upper_hex": ("invalid_structure", ADMIN, "Move", {"target": STRANGER.upper(), "to": "MEMBER"}),
        "move_with_app_members": (None, ADMIN, "Move", {"target": STRANGER, "to": "MEMBER", "why": "asked"}),
        "move_without_to": ("invalid_structure", ADMIN, "Move", {"target": STRANGER}),
        "grant_with_more": ("invalid_structure", ADMIN, "Grant", {"target": MEMBER, "trait": "muted", "why": 1}),
        "update_without_reference": ("invalid_structure", MEMBER, "Update", "x"),
    }


def bundle_rows():
    again = grant(MEMBER, "muted")
    goes = [transfer(ADMIN, "owner"), revoke(OWNER, "admin"), move(OWNER, "OUTSIDER")]
    return {
        "bundle_in_order": (None, OWNER, ops(move(STRANGER, "MEMBER"), grant(STRANGER, "muted"), revoke(STRANGER, "muted"))),
        "bundle_second_fails": ("bad_state", 1, ADMIN, ops(again, again)),
        "bundle_first_fails": ("rank_too_low", 0, ADMIN, ops(move(OWNER, "OUTSIDER"), again)),
        "bundle_third_not_permitted": ("unauthorized", 2, ADMIN, ops(again, revoke(MEMBER, "muted"), grant(MEMBER, "admin"))),
        "bundle_gives_up_then_acts": (None, OWNER, ops(*goes)),
        "bundle_uses_a_power_it_gave_up": ("unauthorized", 1, ADMIN, ops(revoke(ADMIN, "admin"), again)),
        "bundle_of_64": (None, OWNER, ops(*[("Gate", {"alias": "auto_join", "open": i % 2 == 0}) for i in range(64)])),
    }


def step_8():
    rows = [
        case(name, {"error": error}, manifest=group_manifest(), author=author, type=kind, content=content)
        for name, (error, author, kind, content) in step_8_rows().items()
    ]
    for name, row in bundle_rows().items():
        *outcome, author, content = row
        must = {"error": outcome[0]} if len(outcome) == 1 else {"error": outcome[0], "index": outcome[1]}
        rows.append(case(name, must, manifest=group_manifest(), author=author, type="AC_Bundle", content=content))
    dm = dict(manifest=dm_manifest(), type="invite", content={})
    rows.append(case("gate_on_a_custom_row", {"error": "gate_closed"}, author=STRANGER, **dm))
    rows.append(case("gate_for_one_it_does_not_concern", {"error": "unauthorized"}, author=MEMBER, **dm))
    return rows


GROUPS = {"rank": rank, "step_8": step_8}
