"""Cases of roles: rank, manifest validation and the answers of step 8."""

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


def step_8_rows():
    gate = lambda alias, is_open: {"alias": alias, "open": is_open}
    slot = lambda key, value: {"key": key, "value": value}
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
    return {
        "bundle_in_order": (None, OWNER, ops(move(STRANGER, "MEMBER"), grant(STRANGER, "muted"), revoke(STRANGER, "muted"))),
        "bundle_second_fails": ("bad_state", 1, ADMIN, ops(again, again)),
        "bundle_first_fails": ("rank_too_low", 0, ADMIN, ops(move(OWNER, "OUTSIDER"), again)),
        "bundle_third_not_permitted": ("unauthorized", 2, ADMIN, ops(again, revoke(MEMBER, "muted"), grant(MEMBER, "admin"))),
        "bundle_gives_up_then_acts": (None, OWNER, ops(transfer(ADMIN, "owner"), revoke(OWNER, "admin"), ("Move", {"target": OWNER, "to": "OUTSIDER"}))),
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


# --- manifest


def manifest_rows():
    """Section, row added last, and the path of the fault (None: valid)."""
    row = lambda event, operator, *codes, **more: {"event": event, "operator": operator, "ops": list(codes), **more}
    mv = lambda start, end, operator, *codes, **more: row("Move", operator, *(codes or "C"), **{"from": start, "to": end}, **more)
    gr = lambda operator, scope, trait, event="Grant": {"event": event, "operator": operator, "scope": scope, "trait": trait}
    slot = lambda operator, key, *codes, event="Shared": row(event, operator, *codes, key=key)
    gate = lambda operator, **more: {"operator": operator, **more}
    return {
        "custom": ("customs", row("poll", ["MEMBER", "admin"], "C", "R", "N"), None),
        "custom_by_public": ("customs", row("poll", "Public", "C"), None),
        "custom_protocol_name": ("customs", row("Receipt", "MEMBER", "C"), ".event"),
        "custom_protocol_name_of_a_frame": ("customs", row("EOSE", "MEMBER", "C"), ".event"),
        "custom_like_a_protocol_name": ("customs", row("receipt", "MEMBER", "C"), None),
        "custom_type_too_long": ("customs", row("p" * 65, "MEMBER", "C"), ".event"),
        "custom_type_longest": ("customs", row("p" * 64, "MEMBER", "C"), None),
        "custom_type_space": ("customs", row("a b", "MEMBER", "C"), ".event"),
        "custom_type_empty": ("customs", row("", "MEMBER", "C"), ".event"),
        "custom_unknown_column": ("customs", row("poll", "GHOST", "C"), ".operator"),
        "custom_column_with_rank": ("customs", row("poll", "admin(1)", "C"), ".operator"),
        "custom_no_operator": ("customs", row("poll", [], "C"), ".operator"),
        "custom_self": ("customs", row("poll", "Self", "C"), ".operator"),
        "custom_unknown_op": ("customs", row("poll", "MEMBER", "X"), ".ops"),
        "custom_lower_op": ("customs", row("poll", "MEMBER", "c"), ".ops"),
        "custom_gate": ("customs", row("poll", "MEMBER", "C", alias="polls", gate=gate(["admin"], open=True)), None),
        "custom_alias_alone": ("customs", row("poll", "MEMBER", "C", alias="polls"), None),
        "custom_alias_longest": ("customs", row("poll", "MEMBER", "C", alias="a:" * 32, gate=gate(["admin"])), None),
        "custom_alias_too_long": ("customs", row("poll", "MEMBER", "C", alias="a" * 65), ".alias"),
        "custom_alias_space": ("customs", row("poll", "MEMBER", "C", alias="a b"), ".alias"),
        "gate_operator_text": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate("admin")), ".gate.operator"),
        "gate_operator_empty": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate([])), ".gate.operator"),
        "gate_operator_public": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["Public"])), ".gate.operator"),
        "gate_operator_outsider": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["OUTSIDER"])), ".gate.operator"),
        "gate_more": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["admin"], x=1)), ".gate"),
        "gate_open_number": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["admin"], open=1)), ".gate.open"),
        "deny_on_a_plain_trait": ("customs", row("poll", "dataview", "_C"), None),
        "deny_on_admin": ("customs", row("poll", "admin", "_C"), ".operator"),
        "deny_on_owner_with_more": ("customs", row("poll", ["MEMBER", "owner"], "C", "_D"), ".operator"),
        "move_by_member": ("moves", mv("BLOCKED", "MEMBER", "MEMBER"), None),
        "move_denied_to_muted": ("moves", mv("MEMBER", "OUTSIDER", "muted", "_C"), None),
        "move_with_update": ("moves", mv("BLOCKED", "MEMBER", "admin", "U"), ".ops"),
        "move_by_public": ("moves", mv("OUTSIDER", "MEMBER", "Public"), ".operator"),
        "move_by_outsider": ("moves", mv("OUTSIDER", "MEMBER", ["admin", "OUTSIDER"]), ".operator"),
        "move_by_sender": ("moves", mv("OUTSIDER", "MEMBER", "Sender"), ".operator"),
        "move_from_an_unknown_state": ("moves", mv("GHOST", "MEMBER", "admin"), ".from"),
        "move_to_an_unknown_state": ("moves", mv("MEMBER", "GHOST", "admin"), ".to"),
        "grant_by_a_state": ("grants", gr(["MEMBER"], ["OUTSIDER"], ["dataview"]), None),
        "grant_unknown_trait": ("grants", gr(["owner"], ["MEMBER"], ["ghost"]), ".trait"),
        "grant_unknown_scope": ("grants", gr(["owner"], ["GHOST"], ["dataview"]), ".scope"),
        "grant_trait_as_scope": ("grants", gr(["owner"], ["admin"], ["dataview"]), ".scope"),
        "grant_by_self": ("grants", gr(["Self"], ["MEMBER"], ["dataview"]), ".operator"),
        "grant_other_event": ("grants", gr(["owner"], ["MEMBER"], ["dataview"], event="Give"), ".event"),
        "grant_by_a_restricted": ("grants", gr(["muted"], ["MEMBER"], ["dataview"]), "RBAC.customs[1].operator"),
        "transfer_dataview": ("transfers", {"trait": "dataview", "operator": ["owner"], "scope": ["OUTSIDER", "MEMBER"]}, None),
        "transfer_muted": ("transfers", {"trait": "muted", "operator": ["owner"], "scope": ["MEMBER"]}, ".trait"),
        "transfer_operator_text": ("transfers", {"trait": "dataview", "operator": "owner", "scope": ["MEMBER"]}, ".operator"),
        "transfer_scope_empty": ("transfers", {"trait": "dataview", "operator": ["owner"], "scope": []}, ".scope"),
        "slot_shared": ("slots", slot("admin", "rules", "C", "U"), None),
        "slot_own_by_self": ("slots", slot("Self", "x", "C", event="Own"), None),
        "slot_shared_by_self": ("slots", slot("Self", "x", "C"), ".operator"),
        "slot_other_event": ("slots", slot("admin", "x", "C", event="Public"), ".event"),
        "slot_key_empty": ("slots", slot("admin", "", "C"), ".key"),
        "slot_key_slash": ("slots", slot("admin", "a/b", "C"), ".key"),
        "slot_key_longest": ("slots", slot("admin", "k" * 64, "C"), None),
        "slot_key_too_long": ("slots", slot("admin", "k" * 65, "C"), ".key"),
        "slot_no_ops": ("slots", slot("admin", "x"), ".ops"),
        "lifecycle_by_state": ("lifecycle", row("Pause", "MEMBER", "C"), None),
        "lifecycle_migrate": ("lifecycle", row("Migrate", "owner", "C"), ".event"),
        "lifecycle_update": ("lifecycle", row("Pause", "owner", "U"), ".ops"),
        "lifecycle_by_public": ("lifecycle", row("Pause", "Public", "C"), ".operator"),
        "lifecycle_more": ("lifecycle", row("Pause", "owner", "C", alias="x"), ""),
        "reader_public": ("readers", {"type": "Public", "reads": ["message"]}, None),
        "reader_outsider": ("readers", {"type": "OUTSIDER", "reads": "*"}, None),
        "reader_self": ("readers", {"type": "Self", "reads": "*"}, ".type"),
        "reader_sender": ("readers", {"type": "Sender", "reads": "*"}, ".type"),
        "reader_unknown": ("readers", {"type": "GHOST", "reads": "*"}, ".type"),
        "reader_text": ("readers", {"type": "dataview", "reads": "message"}, ".reads"),
        "reader_other_retention": ("readers", {"type": "dataview", "reads": "*", "retention": "forever"}, ".retention"),
        "reader_more": ("readers", {"type": "dataview", "reads": "*", "ops": ["R"]}, ""),
        "init_second": ("init", {"identity": MEMBER, "state": "BLOCKED", "traits": ["muted"]}, None),
        "init_again": ("init", {"identity": OWNER, "state": "MEMBER", "traits": []}, ".identity"),
        "init_upper": ("init", {"identity": MEMBER.upper(), "state": "MEMBER", "traits": []}, ".identity"),
        "init_unknown_state": ("init", {"identity": MEMBER, "state": "GHOST", "traits": []}, ".state"),
        "init_unknown_trait": ("init", {"identity": MEMBER, "state": "MEMBER", "traits": ["ghost"]}, ".traits"),
        "init_more": ("init", {"identity": MEMBER, "state": "MEMBER", "traits": [], "name": "x"}, ""),
        "state_without_a_move": ("states", "LOST", ""),
        "state_twice": ("states", "MEMBER", ""),
        "state_outsider": ("states", "OUTSIDER", ""),
        "state_lower": ("states", "Member", ""),
        "state_too_long": ("states", "S" * 65, ""),
        "trait_twice": ("traits", "admin(9)", ""),
        "trait_rank_twice": ("traits", "other(1)", ""),
        "trait_without_rank": ("traits", "other", ""),
        "trait_leading_zero": ("traits", "other(07)", ""),
        "trait_greatest_rank": ("traits", "other(999999999)", None),
        "trait_rank_too_great": ("traits", "other(1000000000)", ""),
        "trait_upper": ("traits", "Other(9)", ""),
        "trait_negative": ("traits", "other(-1)", ""),
    }


def manifest():
    rows = []
    for name, (section, added, fault) in manifest_rows().items():
        content = fill_template(load_template("group"), NODE, OWNER)
        content["RBAC"][section].append(added)
        place = f"RBAC.{section}[{len(content['RBAC'][section]) - 1}]"
        path = fault if fault and fault.startswith("RBAC") else f"{place}{fault}"
        must = {"error": None} if fault is None else {"error": "invalid_manifest", "path": path}
        given = {"from": OWNER, "section": section, "row_added_last": added, "manifest": content}
        rows.append(case(name, must, **given))
    stranger = fill_template(load_template("open"), NODE, OWNER)
    not_in = {"from": STRANGER, "section": "init", "row_added_last": stranger["RBAC"]["init"][0], "manifest": stranger}
    rows.append(case("signer_not_in_init", {"error": "invalid_manifest", "path": "RBAC.init"}, **not_in))
    return rows


GROUPS = {"rank": rank, "manifest": manifest, "step_8": step_8}
