//! Random manifests and scripts made from a list of numbers, run by the kernel and by the naive model, which must answer alike.

use crate::naive::{Naive, Said};
use crate::world::*;
use protocol::code::Detail;
use protocol::{EventId, Json, PublicKey, VerifiedCommit};
use std::collections::BTreeMap;

const PEOPLE: [&str; 5] = ["alice", "bob", "carol", "dave", "erin"];
const STEPS: usize = 28;

/// Random numbers from a list, zeros when it is used up; so a smaller list is a simpler case.
struct Dice<'a>(std::slice::Iter<'a, u16>);

impl Dice<'_> {
    fn below(&mut self, sides: usize) -> usize {
        usize::from(*self.0.next().unwrap_or(&0)) % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == sides - 1
    }

    fn of<'t>(&mut self, names: &[&'t str]) -> &'t str {
        names[self.below(names.len())]
    }

    /// One or two of these, as a JSON list.
    fn some(&mut self, names: &[&str]) -> String {
        let (first, second) = (self.of(names), self.of(names));
        if first == second || self.one_in(2) { format!("[\"{first}\"]") } else { format!("[\"{first}\",\"{second}\"]") }
    }
}

const STATES: [&str; 3] = ["MEMBER", "GUEST", "OWNER"];
const ANY_STATE: [&str; 4] = ["MEMBER", "GUEST", "OUTSIDER", "OWNER"];
/// Never the column of a deny here: they are operators.
const POWERS: [&str; 5] = ["admin", "owner", "mod", "MEMBER", "OWNER"];
const TRAITS: [&str; 5] = ["owner", "admin", "mod", "muted", "banned"];
const RESTRAINTS: [&str; 4] = ["muted", "banned", "GUEST", "MEMBER"];
const COLUMNS: [&str; 9] = ["MEMBER", "GUEST", "admin", "OUTSIDER", "Public", "owner", "muted", "mod", "OWNER"];
const APPS: [&str; 2] = ["note", "vote"];
const SLOTS: [&str; 2] = ["topic", "card"];

/// A manifest of random rows. Each State can be come into and left, powers are never restrained; else anything goes.
fn manifest(dice: &mut Dice<'_>) -> String {
    let owner = if dice.one_in(3) { "" } else { "\"owner(0)\"," };
    let ranks = [["1", "2", "3", "4"], ["4", "3", "2", "1"], ["2", "1", "9", "3"]][dice.below(3)];
    let traits = format!(
        "{owner}\"admin({})\",\"mod({})\",\"muted({})\",\"banned({})\"",
        ranks[0], ranks[1], ranks[2], ranks[3]
    );
    let text = format!(
        r#"{{"enc_v":2,"sequencer":"SEQ","RBAC":{{"states":["MEMBER","GUEST","OWNER"],"traits":[{traits}],
            "readers":[{}],"moves":[{}],"grants":[{}],"transfers":[{}],"slots":[{}],"lifecycle":[{}],"customs":[{}],
            "init":[{}]}}}}"#,
        readers(dice),
        moves(dice),
        grants(dice),
        transfers(dice),
        slots(dice),
        lifecycle(dice),
        customs(dice),
        init(dice)
    );
    if owner.is_empty() { text.replace("\"owner\"", "\"mod\"") } else { text }
}

fn rows(dice: &mut Dice<'_>, most: usize, row: impl Fn(&mut Dice<'_>, usize) -> String) -> String {
    let count = dice.below(most + 1);
    (0..count).map(|place| row(dice, place)).collect::<Vec<_>>().join(",")
}

/// A gate with the row's own alias, an alias alone, or nothing.
fn gate(dice: &mut Dice<'_>, alias: &str) -> String {
    match dice.below(5) {
        0 => format!(r#","alias":"{alias}","gate":{{"operator":{}}}"#, dice.some(&POWERS)),
        1 => format!(r#","alias":"{alias}","gate":{{"operator":{},"open":true}}"#, dice.some(&POWERS)),
        2 => format!(r#","alias":"{alias}""#),
        _ => String::new(),
    }
}

fn readers(dice: &mut Dice<'_>) -> String {
    rows(dice, 4, |dice, _| {
        let reads =
            if dice.one_in(2) { "\"*\"".to_owned() } else { dice.some(&["note", "vote", "Shared", "Move", "Update"]) };
        let retention = dice.of(&["snapshot", "current"]);
        format!(r#"{{"type":"{}","reads":{reads},"retention":"{retention}"}}"#, dice.of(&COLUMNS))
    })
}

fn moves(dice: &mut Dice<'_>) -> String {
    let row = |from: &str, to: &str, operator: &str, ops: &str, gate: &str| {
        format!(r#"{{"event":"Move","from":"{from}","to":"{to}","operator":{operator},"ops":["{ops}"]{gate}}}"#)
    };
    let mut all = vec![];
    for state in STATES {
        let by = dice.some(&["admin", "owner", "mod", "Self"]);
        all.push(row("OUTSIDER", state, &by, "C", &gate(dice, &format!("in_{state}"))));
        let by = dice.some(&["Self", "admin", "mod"]);
        all.push(row(state, "OUTSIDER", &by, "C", ""));
    }
    for place in 0..dice.below(7) {
        let (from, to) = (dice.of(&ANY_STATE), dice.of(&ANY_STATE));
        let (by, ops) = match dice.one_in(4) {
            true => (dice.some(&RESTRAINTS), "_C"),
            false => (dice.some(&["admin", "Self", "owner", "mod", "MEMBER", "OWNER"]), "C"),
        };
        if from != to {
            all.push(row(from, to, &by, ops, &gate(dice, &format!("way_{place}"))));
        }
    }
    all.join(",")
}

fn grants(dice: &mut Dice<'_>) -> String {
    rows(dice, 8, |dice, _| {
        let event = dice.of(&["Grant", "Revoke"]);
        let (operator, scope, held) = (dice.some(&POWERS), dice.some(&ANY_STATE), dice.some(&TRAITS));
        format!(r#"{{"event":"{event}","operator":{operator},"scope":{scope},"trait":{held}}}"#)
    })
}

fn transfers(dice: &mut Dice<'_>) -> String {
    rows(dice, 5, |dice, _| {
        let held = dice.of(&["owner", "admin", "mod"]);
        let (operator, scope) = (dice.some(&[held, "MEMBER", "admin"]), dice.some(&ANY_STATE));
        format!(r#"{{"trait":"{held}","operator":{operator},"scope":{scope}}}"#)
    })
}

fn slots(dice: &mut Dice<'_>) -> String {
    rows(dice, 5, |dice, _| {
        let event = dice.of(&["Shared", "Own"]);
        let (operator, ops) = match dice.one_in(4) {
            true => (dice.some(&RESTRAINTS), dice.some(&["_C", "_U", "_D", "_R"])),
            false if event == "Own" => (dice.some(&["Self", "MEMBER"]), dice.some(&["C", "U", "D"])),
            false => (dice.some(&COLUMNS), dice.some(&["C", "U", "D"])),
        };
        format!(r#"{{"event":"{event}","key":"{}","operator":{operator},"ops":{ops}}}"#, dice.of(&SLOTS))
    })
}

fn lifecycle(dice: &mut Dice<'_>) -> String {
    rows(dice, 4, |dice, _| {
        let event = dice.of(&["Pause", "Resume", "Resume", "Terminate"]);
        let (operator, ops) = if dice.one_in(4) { (dice.some(&RESTRAINTS), "_C") } else { (dice.some(&POWERS), "C") };
        format!(r#"{{"event":"{event}","operator":{operator},"ops":["{ops}"]}}"#)
    })
}

fn customs(dice: &mut Dice<'_>) -> String {
    rows(dice, 9, |dice, place| {
        let (operator, ops) = match dice.one_in(4) {
            true => (dice.some(&["muted", "banned", "GUEST"]), dice.some(&["_C", "_U", "_D", "_R"])),
            false if dice.one_in(3) => ("\"Sender\"".to_owned(), dice.some(&["U", "D", "_U"])),
            false => (dice.some(&COLUMNS), dice.some(&["C", "C", "U", "D", "R"])),
        };
        let gate = gate(dice, &format!("app_{place}"));
        format!(r#"{{"event":"{}","operator":{operator},"ops":{ops}{gate}}}"#, dice.of(&APPS))
    })
}

fn init(dice: &mut Dice<'_>) -> String {
    let rows = PEOPLE[..4].iter().enumerate().map(|(place, name)| {
        let first = if place == 0 { "owner" } else { "muted" };
        let held = if dice.one_in(3) { "[]".to_owned() } else { dice.some(&[first, "admin", "mod", "banned"]) };
        format!(r#"{{"identity":"@{name}","state":"{}","traits":{held}}}"#, dice.of(&ANY_STATE))
    });
    rows.collect::<Vec<_>>().join(",")
}

fn aliases(world: &World) -> Vec<String> {
    let moves = world.manifest.rbac.moves.iter().filter_map(|row| row.alias.clone());
    let customs = world.manifest.rbac.customs.iter().filter_map(|row| row.alias.clone());
    moves.chain(customs).chain(["ghost".to_owned()]).collect()
}

fn role_event(dice: &mut Dice<'_>, world: &World, author: &str) -> Said {
    let target = id(if dice.one_in(4) { author } else { dice.of(&PEOPLE) });
    let rbac = &world.manifest.rbac;
    let mut states: Vec<&str> = rbac.states.iter().map(String::as_str).collect();
    states.extend(["OUTSIDER", "GHOST"]);
    let mut traits: Vec<&str> = rbac.traits.iter().map(|row| row.name.as_str()).collect();
    traits.push("ghost");
    match dice.below(8) {
        0..=2 => Said::Move(target, dice.of(&states).into()),
        3 | 4 => Said::Grant(target, dice.of(&traits).into()),
        5 => Said::Revoke(target, dice.of(&traits).into()),
        6 => {
            let listed = rbac.transfers.iter().map(|row| rbac.traits[usize::from(row.trait_index.0)].name.as_str());
            traits.extend(listed.flat_map(|name| [name; 4]));
            Said::Transfer(target, dice.of(&traits).into())
        }
        _ => {
            let aliases = aliases(world);
            Said::Gate(aliases[dice.below(aliases.len())].clone(), dice.one_in(2))
        }
    }
}

fn event(dice: &mut Dice<'_>, world: &World, author: &str, events: usize) -> Said {
    let apps: Vec<&str> = world.manifest.rbac.customs.iter().map(|row| row.event.as_str()).chain(["ghost"]).collect();
    let keys: Vec<&str> = world.manifest.rbac.slots.iter().map(|row| row.key.as_str()).chain(["ghost"]).collect();
    match dice.below(18) {
        0..=7 | 16 | 17 => role_event(dice, world, author),
        8 => Said::Bundle((0..=dice.below(4)).map(|_| role_event(dice, world, author)).collect()),
        9 | 10 => Said::App(dice.of(&apps).into()),
        11 => Said::Update(dice.below(events + 1)),
        12 => Said::Delete(dice.below(events + 1)),
        13 | 14 => Said::Slot { own: dice.one_in(2), key: dice.of(&keys).into(), set: !dice.one_in(3) },
        _ => match dice.below(16) {
            0 => Said::Terminate,
            1..=4 => Said::Pause,
            _ => Said::Resume,
        },
    }
}

/// Of a few events the first that is admitted, or at least not simply unauthorized: most of what nobody may do is alike.
fn aimed(dice: &mut Dice<'_>, world: &World, naive: &Naive) -> (&'static str, Said) {
    let aim = dice.below(4);
    for _ in 0..[0, 6, 16, 16][aim] {
        let (author, said) = any(dice, world, naive);
        let answer = naive.answer(&id(author), &said);
        let wanted = if aim == 1 { !answer.starts_with("unauthorized") } else { answer == "ok" };
        if wanted {
            return (author, said);
        }
    }
    any(dice, world, naive)
}

fn any(dice: &mut Dice<'_>, world: &World, naive: &Naive) -> (&'static str, Said) {
    let author = dice.of(&PEOPLE);
    (author, event(dice, world, author, naive.events()))
}

fn type_of(said: &Said) -> &str {
    match said {
        Said::Move(..) => "Move",
        Said::Grant(..) => "Grant",
        Said::Revoke(..) => "Revoke",
        Said::Transfer(..) => "Transfer",
        Said::Gate(..) => "Gate",
        Said::Bundle(..) => "AC_Bundle",
        Said::Slot { own: true, .. } => "Own",
        Said::Slot { own: false, .. } => "Shared",
        Said::App(event_type) => event_type,
        Said::Update(_) => "Update",
        Said::Delete(_) => "Delete",
        Said::Pause => "Pause",
        Said::Resume => "Resume",
        Said::Terminate => "Terminate",
    }
}

fn content(said: &Said) -> Json {
    let pair = |target: &PublicKey, name: &str, what: &str| {
        Json::object([("target", Json::from(target.hex())), (name, Json::from(what))])
    };
    match said {
        Said::Move(target, to) => pair(target, "to", to),
        Said::Grant(target, held) | Said::Revoke(target, held) | Said::Transfer(target, held) => {
            pair(target, "trait", held)
        }
        Said::Gate(alias, open) => Json::object([("alias", Json::from(alias.as_str())), ("open", Json::from(*open))]),
        Said::Bundle(parts) => {
            let parts = parts
                .iter()
                .map(|part| Json::object([("type", Json::from(type_of(part))), ("content", content(part))]));
            Json::object([("ops", Json::Array(parts.collect()))])
        }
        Said::Slot { key, set, .. } => {
            let value = if *set { Json::from("a value") } else { Json::Null };
            Json::object([("key", Json::from(key.as_str())), ("value", value)])
        }
        Said::App(_) | Said::Update(_) | Said::Delete(_) | Said::Pause | Said::Resume | Said::Terminate => {
            Json::object::<&str>([])
        }
    }
}

fn commit(world: &mut World, author: &str, said: &Said) -> VerifiedCommit {
    let referred = match said {
        Said::Update(place) | Said::Delete(place) => {
            Some(world.events.get(*place).map_or(EventId([9; 32]), |event| event.id).hex())
        }
        _ => None,
    };
    let tags: Vec<[&str; 2]> = referred.iter().map(|id| ["r", id.as_str()]).collect();
    world.sign(author, type_of(said), &content(said), &tags)
}

fn submit(world: &mut World, commit: &VerifiedCommit) -> String {
    match world.submit(commit) {
        Ok(_) => "ok".to_owned(),
        Err(refused) => match refused.detail {
            Detail::Index(index) => format!("{}@{index}", refused.code.as_str()),
            _ => refused.code.as_str().to_owned(),
        },
    }
}

/// How often each type was answered with each code.
pub type Tally = BTreeMap<(String, String), u32>;

/// Runs a script on both; every answer, every role, every gate and every right to read must agree after each event.
fn compare(mut world: World, dice: &mut Dice<'_>, tally: &mut Tally) {
    let mut naive = Naive::new(&world.manifest, id("alice"));
    let people = PEOPLE.map(id);
    for step in 0..STEPS {
        let (author, said) = aimed(dice, &world, &naive);
        let before = (world.head.clone(), world.state.clone());
        let commit = commit(&mut world, author, &said);
        let answer = submit(&mut world, &commit);
        assert_eq!(answer, naive.say(&id(author), &said), "{author} {said:?}");
        if answer != "ok" {
            assert_eq!((&world.head, &world.state), (&before.0, &before.1), "a refusal changes nothing");
        }
        for who in &people {
            assert_eq!(world.role(who), naive.role(who), "after {author} {said:?}");
        }
        for alias in aliases(&world) {
            assert_eq!(world.is_open(&alias), naive.is_open(&alias), "{alias} after {author} {said:?}");
        }
        if step % 7 == 6 {
            compare_readers(&world, &naive, &people);
        }
        let code = answer.split('@').next().unwrap_or_default().to_owned();
        let known = if matches!(said, Said::App(_)) { "app" } else { type_of(&said) };
        *tally.entry((known.to_owned(), code)).or_default() += 1;
    }
    let owners = people.iter().filter(|who| kernel::is_owner(&world.manifest, &world.mask(who))).count();
    assert_eq!(world.head.owners, owners as u64);
}

fn compare_readers(world: &World, naive: &Naive, people: &[PublicKey]) {
    for who in people.iter().map(Some).chain([None]) {
        let reader = world.reader(who);
        for event_type in ["note", "vote", "Shared", "Own", "Move", "Update", "Delete", "message", "Manifest"] {
            for seq in 0..naive.events() as u64 {
                let expected = naive.may_read(who, event_type, seq);
                assert_eq!(reader.may_read(event_type, seq), expected, "{who:?} {event_type} {seq}");
            }
            assert_eq!(
                reader.may_read_now(event_type),
                naive.may_read(who, event_type, u64::MAX),
                "{who:?} {event_type}"
            );
        }
    }
}

/// Runs the manifest and the script that the numbers make; false if the manifest is refused.
pub fn run(numbers: &[u16], tally: &mut Tally) -> bool {
    let mut dice = Dice(numbers.iter());
    let world = match dice.below(8) {
        0 => World::template(["open", "personal", "dm", "group"][dice.below(4)]),
        _ => {
            let manifest = json(&manifest(&mut dice));
            if begin(&manifest_commit(&manifest, key("alice")), None, START).is_err() {
                return false;
            }
            World::of(&manifest)
        }
    };
    compare(world, &mut dice, tally);
    true
}
