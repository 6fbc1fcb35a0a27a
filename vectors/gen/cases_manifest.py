"""Cases of Manifest validation: the group template with one row added last to a section, and where its fault lies."""

from .cases_events import load_template
from .judges import fill_template
from .sources import NODE, byte_pub, case

OWNER, MEMBER, STRANGER = (byte_pub(byte) for byte in (0x01, 0x53, 0x57))

# Each table maps a name to the section, the row, and the path of the fault: None where there is none, a path from RBAC on
# where it lies in another row, else what follows the row's own path.


def row(event, operator, *ops, **more):
    return {"event": event, "operator": operator, "ops": list(ops), **more}


def mv(start, end, operator, *ops, **more):
    return row("Move", operator, *(ops or "C"), **{"from": start, "to": end}, **more)


def gr(operator, scope, trait, event="Grant"):
    return {"event": event, "operator": operator, "scope": scope, "trait": trait}


def slot(operator, key, *ops, event="Shared"):
    return row(event, operator, *ops, key=key)


def gate(operator, **more):
    return {"operator": operator, **more}


def customs():
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
    }


def gates_and_denies():
    return {
        "gate_operator_text": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate("admin")), ".gate.operator"),
        "gate_operator_empty": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate([])), ".gate.operator"),
        "gate_operator_public": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["Public"])), ".gate.operator"),
        "gate_operator_outsider": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["OUTSIDER"])), ".gate.operator"),
        "gate_more": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["admin"], x=1)), ".gate"),
        "gate_open_number": ("customs", row("poll", "MEMBER", "C", alias="g", gate=gate(["admin"], open=1)), ".gate.open"),
        "deny_on_a_plain_trait": ("customs", row("poll", "dataview", "_C"), None),
        "deny_on_admin": ("customs", row("poll", "admin", "_C"), ".operator"),
        "deny_on_owner_with_more": ("customs", row("poll", ["MEMBER", "owner"], "C", "_D"), ".operator"),
    }


def moves():
    return {
        "move_by_member": ("moves", mv("BLOCKED", "MEMBER", "MEMBER"), None),
        "move_denied_to_muted": ("moves", mv("MEMBER", "OUTSIDER", "muted", "_C"), None),
        "move_with_update": ("moves", mv("BLOCKED", "MEMBER", "admin", "U"), ".ops"),
        "move_by_public": ("moves", mv("OUTSIDER", "MEMBER", "Public"), ".operator"),
        "move_by_outsider": ("moves", mv("OUTSIDER", "MEMBER", ["admin", "OUTSIDER"]), ".operator"),
        "move_by_sender": ("moves", mv("OUTSIDER", "MEMBER", "Sender"), ".operator"),
        "move_from_an_unknown_state": ("moves", mv("GHOST", "MEMBER", "admin"), ".from"),
        "move_to_an_unknown_state": ("moves", mv("MEMBER", "GHOST", "admin"), ".to"),
    }


def grants():
    return {
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
    }


def slots_and_lifecycle():
    return {
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
    }


def readers_and_init():
    return {
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
    }


def names():
    return {
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


def all_rows():
    tables = (customs, gates_and_denies, moves, grants, slots_and_lifecycle, readers_and_init, names)
    return {name: row for table in tables for name, row in table().items()}


def manifest():
    rows = []
    for name, (section, added, fault) in all_rows().items():
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


GROUPS = {"manifest": manifest}
