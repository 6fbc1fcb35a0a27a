//! The Manifest's rules, row by row: an edit of the group template, and the path at which it is refused.

use protocol::code::{Code, Detail};
use protocol::ids::PublicKey;
use protocol::json::{self, Json};
use protocol::manifest::{Manifest, StateNumber};
use protocol::manifest_lint::Advice;
use protocol::schnorr::KeyPair;

/// The key of the private key `place`.
fn identity(place: u16) -> PublicKey {
    let mut secret = [0; 32];
    secret[30..].copy_from_slice(&place.to_be_bytes());
    KeyPair::from_secret(&secret).expect("a small number is a private key").public()
}

fn me() -> PublicKey {
    identity(1)
}

fn template(name: &str) -> Json {
    let path = format!("{}/../../vectors/templates/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the template is there");
    let text = text
        .replace("\"SEQ\"", &format!("\"{}\"", identity(7777).hex()))
        .replace("\"ME\"", &format!("\"{}\"", me().hex()));
    json::parse(text.as_bytes(), json::MAX_DEPTH).expect("the template is JSON")
}

/// Replaces, adds or (with None) removes what stands at a path like `RBAC.moves[2].to`; `[+]` appends.
fn edit(value: &mut Json, path: &str, new: Option<Json>) {
    let (step, rest) = match path.find(['.', '[']) {
        Some(0) => {
            let close = path.find(']').expect("an index closes");
            (&path[..=close], path[close + 1..].trim_start_matches('.'))
        }
        Some(at) => (&path[..at], path[at..].trim_start_matches('.')),
        None => (path, ""),
    };
    if let Some(index) = step.strip_prefix('[') {
        let Json::Array(items) = value else { panic!("{path}: no array") };
        let index = index.trim_end_matches(']');
        let index = if index == "+" {
            items.push(Json::Null);
            items.len() - 1
        } else {
            index.parse().expect("an index is a number")
        };
        match (rest, new) {
            ("", Some(new)) => items[index] = new,
            ("", None) => drop(items.remove(index)),
            (_, new) => edit(&mut items[index], rest, new),
        }
        return;
    }
    let Json::Object(members) = value else { panic!("{path}: no object") };
    let place = members.iter().position(|(name, _)| name == step);
    match (rest, new, place) {
        ("", Some(new), Some(place)) => members[place].1 = new,
        ("", Some(new), None) => {
            members.push((step.to_owned(), new));
            members.sort_by(|a, b| json::compare_names(&a.0, &b.0));
        }
        ("", None, place) => drop(members.remove(place.expect("the member is there"))),
        (_, new, place) => edit(&mut members[place.expect("the member is there")].1, rest, new),
    }
}

/// The JSON of a row, in which `{ME}` and `{OTHER}` are identities.
fn parsed(text: &str) -> Json {
    let text = text.replace("{ME}", &me().hex()).replace("{OTHER}", &identity(2).hex());
    json::parse(text.as_bytes(), json::MAX_DEPTH).expect("the row is JSON")
}

fn path_of(content: &Json) -> Option<String> {
    match Manifest::parse_for(content, &me()) {
        Ok(_) => None,
        Err(rejection) => {
            assert_eq!(rejection.code, Code::InvalidManifest);
            match rejection.detail {
                Detail::Path(path) => Some(path),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn templates_are_accepted() {
    for name in ["personal", "dm", "group", "open"] {
        assert_eq!(path_of(&template(name)), None, "{name}");
    }
    let group = Manifest::parse(&template("group")).expect("the template is valid");
    assert_eq!(group.bundle.size, 256);
    assert_eq!(group.bundle.timeout_ms, 5000);
    let restrictive: Vec<&str> = group.rbac.traits.iter().filter(|t| t.restrictive).map(|t| t.name.as_str()).collect();
    assert_eq!(restrictive, ["muted"]);
    assert_eq!(group.state_named("MEMBER"), Some(StateNumber(2)));
    assert_eq!(group.state_name(StateNumber(0)), Some("OUTSIDER"));
    assert_eq!(group.state_name(StateNumber(3)), Some("BLOCKED"));
    assert_eq!(group.state_name(StateNumber(4)), None);
    assert_eq!(group.trait_named("dataview").map(|index| index.0), Some(3));
}

/// Paths, and the JSON that is put there; none removes what is there.
type Edits<'a> = &'a [(&'a str, &'a str)];

/// (edits of the group template, path of the refusal or "ok")
const ROWS: &[(Edits<'_>, &str)] = &[
    // the root
    (&[("enc_v", "")], "enc_v"),
    (&[("enc_v", "1")], "enc_v"),
    (&[("enc_v", "\"2\"")], "enc_v"),
    (&[("sequencer", "")], "sequencer"),
    (&[("sequencer", "\"4444\"")], "sequencer"),
    (&[("app", "5")], "app"),
    (&[("app", "")], "ok"),
    (&[("desc", "null")], "desc"),
    (&[("desc", "\"a group\"")], "ok"),
    (&[("note", "1")], ""),
    (&[("RBAC", "")], "RBAC"),
    (&[("RBAC", "[]")], "RBAC"),
    (&[("RBAC.roles", "[]")], "RBAC"),
    // bundle
    (&[("bundle", "{}")], "ok"),
    (&[("bundle", "{\"size\":1,\"timeout\":100}")], "ok"),
    (&[("bundle", "{\"size\":4096,\"timeout\":3600000}")], "ok"),
    (&[("bundle", "{\"size\":0}")], "bundle.size"),
    (&[("bundle", "{\"size\":4097}")], "bundle.size"),
    (&[("bundle", "{\"timeout\":99}")], "bundle.timeout"),
    (&[("bundle", "{\"timeout\":3600001}")], "bundle.timeout"),
    (&[("bundle", "{\"timeout\":4294967396}")], "bundle.timeout"),
    (&[("bundle", "{\"count\":1}")], "bundle"),
    (&[("bundle", "7")], "bundle"),
    // states
    (&[("RBAC.states", "{}")], "RBAC.states"),
    (&[("RBAC.states[0]", "\"pending\"")], "RBAC.states[0]"),
    (&[("RBAC.states[0]", "\"\"")], "RBAC.states[0]"),
    (&[("RBAC.states[0]", "\"OUTSIDER\"")], "RBAC.states[0]"),
    (&[("RBAC.states[0]", "\"1A\"")], "RBAC.states[0]"),
    (&[("RBAC.states[+]", "\"MEMBER\"")], "RBAC.states[3]"),
    (&[("RBAC.states[+]", "\"LONELY\"")], "RBAC.states[3]"),
    (&[("RBAC.states[+]", "\"TRAP\""), ("RBAC.moves[5].to", "\"TRAP\"")], "RBAC.states[3]"),
    (&[("RBAC.states[+]", "\"FOUNDER\""), ("RBAC.init[0].state", "\"FOUNDER\"")], "ok"),
    (&[("RBAC.moves[10].ops", "[\"_C\"]"), ("RBAC.moves[10].operator", "\"MEMBER\"")], "RBAC.states[2]"),
    // traits
    (&[("RBAC.traits[1]", "\"admin\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin(01)\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin(-1)\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin(+1)\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin()\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"Admin(1)\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin(1) \"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[1]", "\"admin(1000000000)\"")], "RBAC.traits[1]"),
    (&[("RBAC.traits[3]", "\"dataview(999999999)\"")], "ok"),
    (&[("RBAC.traits[3]", "\"dataview(2)\"")], "RBAC.traits[3]"),
    (&[("RBAC.traits[+]", "\"owner(9)\"")], "RBAC.traits[4]"),
    (&[("RBAC.traits[0]", "\"owner(4)\"")], "RBAC.traits[0]"),
    // readers
    (&[("RBAC.readers[0].type", "\"Self\"")], "RBAC.readers[0].type"),
    (&[("RBAC.readers[0].type", "\"Sender\"")], "RBAC.readers[0].type"),
    (&[("RBAC.readers[0].type", "\"Public\"")], "ok"),
    (&[("RBAC.readers[0].type", "[\"MEMBER\"]")], "RBAC.readers[0].type"),
    (&[("RBAC.readers[0].type", "\"admin(1)\"")], "RBAC.readers[0].type"),
    (&[("RBAC.readers[0].reads", "\"message\"")], "RBAC.readers[0].reads"),
    (&[("RBAC.readers[0].reads", "[\"a b\"]")], "RBAC.readers[0].reads"),
    (&[("RBAC.readers[0].reads", "")], "RBAC.readers[0].reads"),
    (&[("RBAC.readers[0].retention", "\"forever\"")], "RBAC.readers[0].retention"),
    (&[("RBAC.readers[0].retention", "\"current\"")], "ok"),
    // moves
    (&[("RBAC.moves[2].event", "\"Grant\"")], "RBAC.moves[2].event"),
    (&[("RBAC.moves[2].to", "\"NOWHERE\"")], "RBAC.moves[2].to"),
    (&[("RBAC.moves[2].from", "")], "RBAC.moves[2].from"),
    (&[("RBAC.moves[2].operator", "\"Public\"")], "RBAC.moves[2].operator"),
    (&[("RBAC.moves[2].operator", "\"OUTSIDER\"")], "RBAC.moves[2].operator"),
    (&[("RBAC.moves[2].operator", "\"Sender\"")], "RBAC.moves[2].operator"),
    (&[("RBAC.moves[2].operator", "[]")], "RBAC.moves[2].operator"),
    (&[("RBAC.moves[2].operator", "[\"admin\",5]")], "RBAC.moves[2].operator"),
    (&[("RBAC.moves[2].operator", "[\"admin\",\"MEMBER\",\"Self\"]")], "ok"),
    (&[("RBAC.moves[2].ops", "[\"C\",\"R\"]")], "RBAC.moves[2].ops"),
    (&[("RBAC.moves[2].ops", "[\"_D\"]")], "RBAC.moves[2].ops"),
    (&[("RBAC.moves[2].ops", "[\"X\"]")], "RBAC.moves[2].ops"),
    (&[("RBAC.moves[2].ops", "\"C\"")], "RBAC.moves[2].ops"),
    (&[("RBAC.moves[0].alias", "")], "RBAC.moves[0].alias"),
    (&[("RBAC.moves[0].alias", "\"auto_join\"")], "RBAC.moves[1].alias"),
    (&[("RBAC.moves[0].alias", "\"a/b\"")], "RBAC.moves[0].alias"),
    (&[("RBAC.moves[4].alias", "\"applications\"")], "RBAC.moves[4].alias"),
    (&[("RBAC.customs[0].alias", "\"applications\"")], "RBAC.customs[0].alias"),
    (&[("RBAC.moves[4].alias", "\"other\"")], "ok"),
    (&[("RBAC.moves[0].gate.operator", "\"owner\"")], "RBAC.moves[0].gate.operator"),
    (&[("RBAC.moves[0].gate.operator", "[\"Self\"]")], "RBAC.moves[0].gate.operator"),
    (&[("RBAC.moves[0].gate.operator", "[\"Public\"]")], "RBAC.moves[0].gate.operator"),
    (&[("RBAC.moves[0].gate.open", "1")], "RBAC.moves[0].gate.open"),
    (&[("RBAC.moves[0].gate.open", "true")], "ok"),
    (&[("RBAC.moves[0].gate.note", "true")], "RBAC.moves[0].gate"),
    // grants, transfers
    (&[("RBAC.grants[0].event", "\"Move\"")], "RBAC.grants[0].event"),
    (&[("RBAC.grants[0].operator", "[\"Self\"]")], "RBAC.grants[0].operator"),
    (&[("RBAC.grants[0].scope", "[\"NOWHERE\"]")], "RBAC.grants[0].scope"),
    (&[("RBAC.grants[0].scope", "[\"OUTSIDER\"]")], "ok"),
    (&[("RBAC.grants[0].trait", "[\"muted(2)\"]")], "RBAC.grants[0].trait"),
    (&[("RBAC.grants[0].trait", "\"muted\"")], "RBAC.grants[0].trait"),
    (&[("RBAC.grants[0].ops", "[\"C\"]")], "RBAC.grants[0]"),
    (&[("RBAC.transfers[0].trait", "[\"owner\"]")], "RBAC.transfers[0].trait"),
    (&[("RBAC.transfers[0].trait", "\"muted\"")], "RBAC.transfers[0].trait"),
    (&[("RBAC.transfers[0].operator", "\"owner\"")], "RBAC.transfers[0].operator"),
    // slots
    (&[("RBAC.slots[0].event", "\"Slot\"")], "RBAC.slots[0].event"),
    (&[("RBAC.slots[0].operator", "\"Self\"")], "RBAC.slots[0].operator"),
    (&[("RBAC.slots[1].operator", "\"Self\"")], "ok"),
    (&[("RBAC.slots[0].operator", "\"Public\"")], "ok"),
    (&[("RBAC.slots[0].operator", "\"Sender\"")], "RBAC.slots[0].operator"),
    (&[("RBAC.slots[0].key", "\"\"")], "RBAC.slots[0].key"),
    (&[("RBAC.slots[0].key", "\"caf\u{e9}\"")], "RBAC.slots[0].key"),
    (&[("RBAC.slots[0].gate", "{\"operator\":[\"owner\"]}")], "RBAC.slots[0]"),
    // lifecycle
    (&[("RBAC.lifecycle[0].event", "\"Migrate\"")], "RBAC.lifecycle[0].event"),
    (&[("RBAC.lifecycle[0].operator", "\"Public\"")], "RBAC.lifecycle[0].operator"),
    (&[("RBAC.lifecycle[0].operator", "\"MEMBER\"")], "ok"),
    (&[("RBAC.lifecycle[0].ops", "[\"U\"]")], "RBAC.lifecycle[0].ops"),
    // customs
    (&[("RBAC.customs[0].event", "\"Migrate\"")], "RBAC.customs[0].event"),
    (&[("RBAC.customs[0].event", "\"EOSE\"")], "RBAC.customs[0].event"),
    (&[("RBAC.customs[0].event", "\"a b\"")], "RBAC.customs[0].event"),
    (&[("RBAC.customs[0].operator", "\"Self\"")], "RBAC.customs[0].operator"),
    (&[("RBAC.customs[0].operator", "\"Public\"")], "ok"),
    (&[("RBAC.customs[0].operator", "[\"MEMBER\",\"Sender\"]")], "RBAC.customs[0].ops"),
    (&[("RBAC.customs[0].operator", "\"Sender\""), ("RBAC.customs[0].ops", "[\"U\",\"_D\"]")], "ok"),
    (&[("RBAC.customs[0].gate", "{\"operator\":[\"owner\"]}")], "RBAC.customs[0].alias"),
    (
        &[("RBAC.customs[0].gate", "{\"operator\":[\"muted\"]}"), ("RBAC.customs[0].alias", "\"talk\"")],
        "RBAC.customs[1].operator",
    ),
    (&[("RBAC.customs[1].operator", "\"admin\"")], "RBAC.customs[1].operator"),
    (&[("RBAC.customs[1].operator", "[\"MEMBER\",\"owner\"]")], "RBAC.customs[1].operator"),
    (&[("RBAC.slots[0].operator", "\"owner\""), ("RBAC.slots[0].ops", "[\"_R\"]")], "RBAC.slots[0].operator"),
    // a row without C gives no power, so its trait may be denied
    (&[("RBAC.lifecycle[0].operator", "\"muted\""), ("RBAC.lifecycle[0].ops", "[\"_C\"]")], "ok"),
    (&[("RBAC.lifecycle[0].operator", "\"muted\"")], "RBAC.customs[1].operator"),
    // init
    (&[("RBAC.init", "")], "RBAC.init"),
    (&[("RBAC.init", "[]")], "RBAC.init"),
    (&[("RBAC.init[0].identity", "\"{OTHER}\"")], "RBAC.init"),
    (
        &[("RBAC.init[0].identity", "\"0505050505050505050505050505050505050505050505050505050505050505\"")],
        "RBAC.init[0].identity",
    ),
    (&[("RBAC.init[0].traits", "[\"admin\",\"admin\"]")], "RBAC.init[0].traits"),
    (&[("RBAC.init[0].identity", "\"03\"")], "RBAC.init[0].identity"),
    (&[("RBAC.init[0].state", "\"OUTSIDER\"")], "ok"),
    (&[("RBAC.init[0].state", "\"NOWHERE\"")], "RBAC.init[0].state"),
    (&[("RBAC.init[0].traits", "")], "RBAC.init[0].traits"),
    (&[("RBAC.init[0].traits", "[\"nobody\"]")], "RBAC.init[0].traits"),
    (&[("RBAC.init[+]", "{\"identity\":\"{ME}\",\"state\":\"MEMBER\",\"traits\":[]}")], "RBAC.init[1].identity"),
];

#[test]
fn each_rule_names_its_place() {
    for (edits, expected) in ROWS {
        let mut content = template("group");
        for (path, new) in *edits {
            edit(&mut content, path, if new.is_empty() { None } else { Some(parsed(new)) });
        }
        let expected = if *expected == "ok" { None } else { Some(expected.to_string()) };
        assert_eq!(path_of(&content), expected, "{edits:?}");
    }
}

#[test]
fn sizes_are_bounded() {
    let repeat = |row: &str, count: usize| Json::Array(vec![parsed(row); count]);
    let rules = |count| {
        let mut content = template("open");
        edit(
            &mut content,
            "RBAC.customs",
            Some(repeat("{\"event\":\"m\",\"operator\":\"MEMBER\",\"ops\":[\"C\"]}", count)),
        );
        content
    };
    assert_eq!(path_of(&rules(1024 - 3)), None);
    assert_eq!(path_of(&rules(1024 - 2)), Some("RBAC".into()));

    let initial = |count: usize| {
        let mut content = template("open");
        for place in 1..count {
            let identity = identity(1 + place as u16).hex();
            edit(
                &mut content,
                "RBAC.init[+]",
                Some(parsed(&format!("{{\"identity\":\"{identity}\",\"state\":\"MEMBER\",\"traits\":[]}}"))),
            );
        }
        content
    };
    assert_eq!(path_of(&initial(1000)), None);
    assert_eq!(path_of(&initial(1001)), Some("RBAC.init".into()));

    let states = |count: usize| {
        let mut content = template("open");
        for place in 1..count {
            edit(&mut content, "RBAC.states[+]", Some(Json::from(format!("S{place}"))));
            for (from, to) in [("OUTSIDER", format!("S{place}").as_str()), (format!("S{place}").as_str(), "OUTSIDER")] {
                let row = format!(
                    "{{\"event\":\"Move\",\"from\":\"{from}\",\"to\":\"{to}\",\"operator\":\"owner\",\"ops\":[\"C\"]}}"
                );
                edit(&mut content, "RBAC.moves[+]", Some(parsed(&row)));
            }
        }
        content
    };
    assert_eq!(path_of(&states(255)), None);
    assert_eq!(path_of(&states(256)), Some("RBAC.states".into()));

    let traits = |count: usize| {
        let mut content = template("open");
        for place in 1..count {
            edit(&mut content, "RBAC.traits[+]", Some(Json::from(format!("t{place}({place})"))));
        }
        content
    };
    assert_eq!(path_of(&traits(248)), None);
    assert_eq!(path_of(&traits(249)), Some("RBAC.traits".into()));

    let bare = template("open").to_jcs().len() + ",\"desc\":\"\"".len();
    let long = |len: usize| {
        let mut content = template("open");
        edit(&mut content, "desc", Some(Json::from("x".repeat(len - bare))));
        content
    };
    assert_eq!(long(256 << 10).to_jcs().len(), 256 << 10);
    assert_eq!(path_of(&long(256 << 10)), None);
    assert_eq!(path_of(&long((256 << 10) + 1)), Some(String::new()));
}

fn lints(edits: Edits<'_>, template_name: &str) -> Vec<(Advice, String)> {
    let mut content = template(template_name);
    for (path, new) in edits {
        edit(&mut content, path, if new.is_empty() { None } else { Some(parsed(new)) });
    }
    let manifest = Manifest::parse(&content).expect("the edited template is valid");
    manifest.lint().into_iter().map(|lint| (lint.advice, lint.path)).collect()
}

#[test]
fn templates_need_no_advice_but_where_they_mean_it() {
    assert_eq!(lints(&[], "group"), []);
    assert_eq!(lints(&[], "open"), []);
    assert_eq!(lints(&[], "dm"), []);
    // Anyone may leave a notice with a person.
    assert_eq!(lints(&[], "personal"), [(Advice::OpenToAnyone, "RBAC.customs[3]".to_string())]);
}

#[test]
fn oddities_are_pointed_out() {
    let gate =
        "{\"event\":\"m\",\"operator\":\"MEMBER\",\"ops\":[\"C\"],\"alias\":\"a\",\"gate\":{\"operator\":[\"idle\"]}}";
    let idle = ("RBAC.traits[+]", "\"idle(7)\"");
    let rows: &[(Edits<'_>, &[(Advice, &str)])] = &[
        (&[("RBAC.readers", "")], &[(Advice::NoReader, "RBAC.readers")]),
        (&[("RBAC.customs[0].ops", "[\"C\",\"R\"]"), ("RBAC.readers", "")], &[]),
        (
            &[("RBAC.init[0].traits", "[]")],
            &[(Advice::UngrantedTrait, "RBAC.traits[0]"), (Advice::NoOwner, "RBAC.init")],
        ),
        (&[idle], &[(Advice::UngrantedTrait, "RBAC.traits[1]")]),
        (
            &[idle, ("RBAC.customs[+]", gate)],
            &[(Advice::UngrantedTrait, "RBAC.traits[1]"), (Advice::StuckGate, "RBAC.customs[1].gate")],
        ),
        (
            &[
                idle,
                ("RBAC.init[0].traits", "[\"owner\",\"idle\"]"),
                ("RBAC.customs[+]", "{\"event\":\"m\",\"operator\":\"idle\",\"ops\":[\"_C\"]}"),
            ],
            &[(Advice::LastingRestriction, "RBAC.traits[1]")],
        ),
        (&[("RBAC.customs[0].alias", "\"a\"")], &[(Advice::AliasWithoutGate, "RBAC.customs[0].alias")]),
        (&[("RBAC.readers[0].reads", "[\"Message\",\"Move\"]")], &[]),
        (&[("RBAC.readers[0].reads", "[\"Letter\"]")], &[(Advice::IdleReads, "RBAC.readers[0].reads")]),
        (&[("RBAC.readers[0].reads", "[\"Update\"]")], &[(Advice::IdleReads, "RBAC.readers[0].reads")]),
        (&[("bundle", "{\"timeout\":60000}")], &[]),
        (&[("bundle", "{\"timeout\":60001}")], &[(Advice::SlowBundle, "bundle.timeout")]),
    ];
    for (edits, expected) in rows {
        let expected: Vec<_> = expected.iter().map(|(advice, path)| (*advice, path.to_string())).collect();
        assert_eq!(lints(edits, "open"), expected, "{edits:?}");
    }
}
