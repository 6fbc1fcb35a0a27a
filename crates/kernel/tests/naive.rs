//! A second model of roles, written from the specification's text alone and as plainly as it can be: names are strings, what an
//! identity is is a set of them, every rule is a list of checks in the order of steps 7 and 8. Nothing of the kernel is used.

use protocol::PublicKey;
use protocol::manifest::{
    Column, GateRule, GrantKind, LifecycleEvent, Manifest, Op, OpSet, Reads, Retention, SlotKind, StateNumber,
};
use std::collections::{BTreeMap, BTreeSet};

type Names = BTreeSet<String>;
/// Checks in order, each with the code that answers when it fails.
type Checks = Vec<(&'static str, bool)>;

const FURTHER: [&str; 6] = ["unauthorized", "not_found", "rank_too_low", "bad_state", "gate_closed", "ok"];

#[derive(Clone, Debug)]
pub enum Said {
    Move(PublicKey, String),
    Grant(PublicKey, String),
    Revoke(PublicKey, String),
    Transfer(PublicKey, String),
    Gate(String, bool),
    Bundle(Vec<Said>),
    Slot { own: bool, key: String, set: bool },
    App(String),
    Update(usize),
    Delete(usize),
    Pause,
    Resume,
    Terminate,
}

struct Written {
    event_type: String,
    from: PublicKey,
    deleted: bool,
}

#[derive(Clone, Default)]
struct Roles {
    states: BTreeMap<PublicKey, String>,
    traits: BTreeMap<PublicKey, Names>,
    open: Names,
    /// Of each identity: the readers' rows it left by its own Move, the State it left, and when.
    kept: BTreeMap<PublicKey, BTreeMap<usize, (String, u64)>>,
}

pub struct Naive {
    manifest: Manifest,
    roles: Roles,
    filled: Names,
    lifecycle: &'static str,
    written: Vec<Written>,
}

impl Naive {
    pub fn new(manifest: &Manifest, creator: PublicKey) -> Naive {
        let mut naive = Naive {
            manifest: manifest.clone(),
            roles: Roles::default(),
            filled: Names::new(),
            lifecycle: "active",
            written: vec![Written { event_type: "Manifest".into(), from: creator, deleted: false }],
        };
        for row in &manifest.rbac.init {
            naive.roles.states.insert(row.identity, state_name(manifest, row.state));
            let traits = row.traits.iter().map(|held| manifest.rbac.traits[usize::from(held.0)].name.clone()).collect();
            naive.roles.traits.insert(row.identity, traits);
        }
        for (alias, gate) in naive.gates() {
            if gate.open {
                naive.roles.open.insert(alias);
            }
        }
        naive
    }

    /// `STATE trait trait`, traits in the manifest's order.
    pub fn role(&self, who: &PublicKey) -> String {
        let held = self.roles.held(who);
        let traits = self.manifest.rbac.traits.iter().filter(|declared| held.contains(&declared.name));
        traits.fold(self.roles.state(who), |role, declared| format!("{role} {}", declared.name))
    }

    pub fn is_open(&self, alias: &str) -> bool {
        self.roles.open.contains(alias)
    }

    pub fn events(&self) -> usize {
        self.written.len()
    }

    /// One event and its answer; nothing changes unless that is `ok`.
    pub fn say(&mut self, author: &PublicKey, said: &Said) -> String {
        let (answer, roles) = self.judge(author, said);
        if answer == "ok" {
            self.roles = roles;
            self.happen(author, said);
        }
        answer
    }

    /// What the answer would be.
    pub fn answer(&self, author: &PublicKey, said: &Said) -> String {
        self.judge(author, said).0
    }

    /// The answer, and the roles and gates after it.
    fn judge(&self, author: &PublicKey, said: &Said) -> (String, Roles) {
        let mut roles = self.roles.clone();
        let wakes = matches!(said, Said::Resume | Said::Terminate);
        let answer = match said {
            _ if self.lifecycle == "terminated" => "enclave_terminated".into(),
            _ if self.lifecycle == "paused" && !wakes => "enclave_paused".into(),
            Said::Bundle(parts) => {
                let answers = parts.iter().map(|part| self.role_event(&mut roles, author, part));
                let failed = answers.enumerate().find(|(_, answer)| *answer != "ok");
                failed.map_or_else(|| "ok".to_owned(), |(index, code)| format!("{code}@{index}"))
            }
            Said::Slot { own, key, set } => self.slot(author, *own, key, *set),
            Said::App(event_type) => self.app(author, event_type, Op::C, false, false),
            Said::Update(event) => self.refer(author, *event, Op::U),
            Said::Delete(event) => self.refer(author, *event, Op::D),
            Said::Pause => self.turn(author, LifecycleEvent::Pause),
            Said::Resume => self.turn(author, LifecycleEvent::Resume),
            Said::Terminate => self.turn(author, LifecycleEvent::Terminate),
            Said::Move(..) | Said::Grant(..) | Said::Revoke(..) | Said::Transfer(..) | Said::Gate(..) => {
                self.role_event(&mut roles, author, said).to_owned()
            }
        };
        (answer, roles)
    }

    /// Whether an identity, or nobody in particular, may read an event of a type that stands at a `seq`.
    pub fn may_read(&self, who: Option<&PublicKey>, event_type: &str, seq: u64) -> bool {
        let is = who.map_or_else(|| names(&["Public"]), |who| self.roles.columns(who));
        if matches!(event_type, "Update" | "Delete") || self.read_denied(event_type, &is) {
            return false;
        }
        let named = |reads: &Reads| match reads {
            Reads::All => true,
            Reads::Types(types) => types.iter().any(|named| named == event_type),
        };
        let readers = &self.manifest.rbac.readers;
        let by_reader = readers.iter().any(|row| self.any(&[row.column], &is) && named(&row.reads));
        let mut customs = self.manifest.rbac.customs.iter().filter(|row| row.event == event_type);
        let by_custom = customs.any(|row| self.any(&row.operator, &is) && row.ops.allows(Op::R));
        let kept = who.and_then(|who| self.roles.kept.get(who)).into_iter().flatten();
        let by_keeping = kept.into_iter().any(|(rule, (left, until))| {
            seq <= *until && named(&readers[*rule].reads) && !self.read_denied(event_type, &names(&[left, "Public"]))
        });
        by_reader || by_custom || by_keeping
    }

    fn read_denied(&self, event_type: &str, is: &Names) -> bool {
        let customs = self.manifest.rbac.customs.iter();
        let slots = self.manifest.rbac.slots.iter();
        customs.filter(|row| row.event == event_type).any(|row| self.any(&row.operator, is) && row.ops.denies(Op::R))
            || slots
                .filter(|row| slot_event(row.event) == event_type)
                .any(|row| self.any(&row.operator, is) && row.ops.denies(Op::R))
    }

    fn role_event(&self, roles: &mut Roles, author: &PublicKey, said: &Said) -> &'static str {
        match said {
            Said::Move(target, to) => self.movement(roles, author, target, to),
            Said::Grant(target, held) => self.grant(roles, author, target, held),
            Said::Revoke(target, held) => self.revoke(roles, author, target, held),
            Said::Transfer(target, held) => self.transfer(roles, author, target, held),
            Said::Gate(alias, open) => self.gate(roles, author, alias, *open),
            other => panic!("{other:?} is no role event"),
        }
    }

    fn movement(&self, roles: &mut Roles, author: &PublicKey, target: &PublicKey, to: &str) -> &'static str {
        let themselves = author == target;
        let mut is = roles.columns(author);
        if themselves {
            is.insert("Self".into());
        }
        let state = roles.state(target);
        let mut left = roles.held(target);
        if !themselves || to == "OUTSIDER" {
            left.retain(|held| self.restrictive(held));
        }
        let orphans = self.loses_last_owner(roles, target, to, &left);
        let ways = self.manifest.rbac.moves.iter().filter(|row| state_name(&self.manifest, row.to) == to);
        let judged = ways.filter(|row| row.ops.allows(Op::C)).map(|row| {
            let from = state_name(&self.manifest, row.from);
            let denied = self.manifest.rbac.moves.iter().any(|other| {
                (other.from, other.to) == (row.from, row.to)
                    && other.ops.denies(Op::C)
                    && self.any(&other.operator, &is)
            });
            let reaches = match themselves {
                true => row.operator.contains(&Column::Own),
                false => self.stands_above(roles, author, target),
            };
            let passes = row.gate.is_none() || row.alias.as_ref().is_some_and(|alias| roles.open.contains(alias));
            vec![
                ("unauthorized", self.any(&row.operator, &is) && !denied),
                ("rank_too_low", reaches),
                ("bad_state", state == from && !orphans),
                ("gate_closed", passes),
            ]
        });
        let answer = furthest(judged.collect());
        if answer == "ok" {
            self.keep(roles, target, themselves, to, &left);
            roles.states.insert(*target, to.to_owned());
            roles.traits.insert(*target, left);
        }
        answer
    }

    fn keep(&self, roles: &mut Roles, target: &PublicKey, themselves: bool, to: &str, left: &Names) {
        if !themselves {
            roles.kept.remove(target);
            return;
        }
        let was = roles.columns(target);
        let mut will_be = left.clone();
        will_be.extend([to.to_owned(), "Public".to_owned()]);
        let now = (roles.state(target), self.written.len() as u64);
        for (index, row) in self.manifest.rbac.readers.iter().enumerate() {
            let stops = self.any(&[row.column], &was) && !self.any(&[row.column], &will_be);
            if stops && row.retention == Retention::Snapshot {
                roles.kept.entry(*target).or_default().insert(index, now.clone());
            }
        }
    }

    fn grant(&self, roles: &mut Roles, author: &PublicKey, target: &PublicKey, held: &str) -> &'static str {
        let is = roles.columns(author);
        let above =
            self.above_trait(roles, author, held) && (author == target || self.stands_above(roles, author, target));
        let judged = self.granting(GrantKind::Grant, held).map(|(operator, scope)| {
            vec![
                ("unauthorized", self.any(operator, &is)),
                ("rank_too_low", above),
                ("bad_state", scope.contains(&roles.state(target)) && !roles.held(target).contains(held)),
            ]
        });
        let answer = furthest(judged.collect());
        if answer == "ok" {
            roles.traits.entry(*target).or_default().insert(held.to_owned());
        }
        answer
    }

    fn revoke(&self, roles: &mut Roles, author: &PublicKey, target: &PublicKey, held: &str) -> &'static str {
        let is = roles.columns(author);
        let mut left = roles.held(target);
        let had = left.remove(held);
        let fits = had && !self.loses_last_owner(roles, target, &roles.state(target), &left);
        let declared = self.manifest.rbac.traits.iter().any(|row| row.name == held);
        let answer = if author == target && declared && !self.restrictive(held) {
            if fits { "ok" } else { "bad_state" }
        } else {
            let above =
                author != target && self.above_trait(roles, author, held) && self.stands_above(roles, author, target);
            let judged = self.granting(GrantKind::Revoke, held).map(|(operator, scope)| {
                vec![
                    ("unauthorized", self.any(operator, &is)),
                    ("rank_too_low", above),
                    ("bad_state", fits && scope.contains(&roles.state(target))),
                ]
            });
            furthest(judged.collect())
        };
        if answer == "ok" {
            roles.traits.insert(*target, left);
        }
        answer
    }

    fn granting(&self, kind: GrantKind, held: &str) -> impl Iterator<Item = (&[Column], Names)> {
        let rows = self.manifest.rbac.grants.iter().filter(move |row| row.event == kind);
        let index = self.manifest.rbac.traits.iter().position(|row| row.name == held);
        let rows = rows.filter(move |row| row.traits.iter().any(|listed| Some(usize::from(listed.0)) == index));
        rows.map(|row| (&row.operator[..], self.scope(&row.scope)))
    }

    fn transfer(&self, roles: &mut Roles, author: &PublicKey, target: &PublicKey, held: &str) -> &'static str {
        let is = roles.columns(author);
        let rows = self.manifest.rbac.transfers.iter();
        let rows = rows.filter(|row| self.manifest.rbac.traits[usize::from(row.trait_index.0)].name == held);
        let judged = rows.map(|row| {
            let below = match self.rank(roles, target) {
                None => true,
                Some(rank) => rank > self.rank_of_trait(held),
            };
            let fits = roles.held(author).contains(held) && !roles.held(target).contains(held) && author != target;
            vec![
                ("unauthorized", self.any(&row.operator, &is)),
                ("rank_too_low", below),
                ("bad_state", fits && self.scope(&row.scope).contains(&roles.state(target))),
            ]
        });
        let answer = furthest(judged.collect());
        if answer == "ok" {
            roles.traits.entry(*author).or_default().remove(held);
            roles.traits.entry(*target).or_default().insert(held.to_owned());
        }
        answer
    }

    fn gate(&self, roles: &mut Roles, author: &PublicKey, alias: &str, open: bool) -> &'static str {
        let is = roles.columns(author);
        let aliases: Vec<String> = self.manifest.rbac.moves.iter().filter_map(|row| row.alias.clone()).collect();
        let aliases = aliases.into_iter().chain(self.manifest.rbac.customs.iter().filter_map(|row| row.alias.clone()));
        let gates = self.gates();
        let answer = if !gates.iter().any(|(_, gate)| self.any(&gate.operator, &is)) {
            "unauthorized"
        } else if aliases.into_iter().all(|name| name != alias) {
            "not_found"
        } else if !gates.iter().any(|(name, gate)| name == alias && self.any(&gate.operator, &is)) {
            "unauthorized"
        } else if roles.open.contains(alias) == open {
            "bad_state"
        } else {
            "ok"
        };
        match (answer, open) {
            ("ok", true) => drop(roles.open.insert(alias.to_owned())),
            ("ok", false) => drop(roles.open.remove(alias)),
            _ => {}
        }
        answer
    }

    fn slot(&self, author: &PublicKey, own: bool, key: &str, set: bool) -> String {
        let mut is = self.roles.columns(author);
        if own {
            is.insert("Self".into());
        }
        let kind = if own { SlotKind::Own } else { SlotKind::Shared };
        let rows: Vec<_> = self.manifest.rbac.slots.iter().filter(|row| row.event == kind).collect();
        let mine: Vec<_> = rows.iter().filter(|row| row.key == key).collect();
        let full = self.filled.contains(&slot_key(author, own, key));
        let needs = match (set, full) {
            (false, _) => Op::D,
            (true, false) => Op::C,
            (true, true) => Op::U,
        };
        let ops: Vec<OpSet> = mine.iter().filter(|row| self.any(&row.operator, &is)).map(|row| row.ops).collect();
        let answer = if !rows.iter().any(|row| self.any(&row.operator, &is)) {
            "unauthorized"
        } else if mine.is_empty() {
            "not_found"
        } else if !permitted(&ops, needs) {
            "unauthorized"
        } else if !set && !full {
            "not_found"
        } else {
            "ok"
        };
        answer.to_owned()
    }

    fn refer(&self, author: &PublicKey, event: usize, op: Op) -> String {
        match self.written.get(event) {
            None => "not_found".to_owned(),
            Some(written) => self.app(author, &written.event_type, op, written.from == *author, written.deleted),
        }
    }

    fn app(&self, author: &PublicKey, event_type: &str, op: Op, sender: bool, deleted: bool) -> String {
        let mut is = self.roles.columns(author);
        if sender {
            is.insert("Sender".into());
        }
        let rows = self.manifest.rbac.customs.iter().filter(|row| row.event == event_type);
        let mine: Vec<_> = rows.filter(|row| self.any(&row.operator, &is)).collect();
        let ops: Vec<OpSet> = mine.iter().map(|row| row.ops).collect();
        let mut giving = mine.iter().filter(|row| row.ops.allows(op));
        let passes = giving
            .any(|row| row.gate.is_none() || row.alias.as_ref().is_some_and(|alias| self.roles.open.contains(alias)));
        let checks = vec![("unauthorized", permitted(&ops, op)), ("bad_state", !deleted), ("gate_closed", passes)];
        furthest(vec![checks]).to_owned()
    }

    fn turn(&self, author: &PublicKey, event: LifecycleEvent) -> String {
        let is = self.roles.columns(author);
        let rows = self.manifest.rbac.lifecycle.iter().filter(|row| row.event == event);
        let ops: Vec<OpSet> = rows.filter(|row| self.any(&row.operator, &is)).map(|row| row.ops).collect();
        let wrong = event == LifecycleEvent::Resume && self.lifecycle != "paused";
        furthest(vec![vec![("unauthorized", permitted(&ops, Op::C)), ("bad_state", !wrong)]]).to_owned()
    }

    /// What an admitted event does beyond roles and gates.
    fn happen(&mut self, author: &PublicKey, said: &Said) {
        let event_type = match said {
            Said::App(event_type) => event_type.clone(),
            Said::Slot { own, key, set } => {
                let key = slot_key(author, *own, key);
                if *set {
                    self.filled.insert(key)
                } else {
                    self.filled.remove(&key)
                };
                "a slot".into()
            }
            Said::Delete(event) => {
                self.written[*event].deleted = true;
                "Delete".into()
            }
            Said::Pause => {
                self.lifecycle = "paused";
                "Pause".into()
            }
            Said::Resume => {
                self.lifecycle = "active";
                "Resume".into()
            }
            Said::Terminate => {
                self.lifecycle = "terminated";
                "Terminate".into()
            }
            _ => "a role event or an Update".into(),
        };
        self.written.push(Written { event_type, from: *author, deleted: false });
    }

    fn any(&self, operator: &[Column], is: &Names) -> bool {
        operator.iter().any(|column| is.contains(&column_name(&self.manifest, *column)))
    }

    fn scope(&self, scope: &[StateNumber]) -> Names {
        scope.iter().map(|state| state_name(&self.manifest, *state)).collect()
    }

    fn gates(&self) -> Vec<(String, GateRule)> {
        let moves = self.manifest.rbac.moves.iter().map(|row| (row.alias.clone(), row.gate.clone()));
        let customs = self.manifest.rbac.customs.iter().map(|row| (row.alias.clone(), row.gate.clone()));
        moves.chain(customs).filter_map(|(alias, gate)| Some((alias?, gate?))).collect()
    }

    /// The manifest names it as the column of any deny.
    fn restrictive(&self, held: &str) -> bool {
        let rbac = &self.manifest.rbac;
        let moves = rbac.moves.iter().map(|row| (&row.operator, row.ops));
        let slots = rbac.slots.iter().map(|row| (&row.operator, row.ops));
        let lifecycle = rbac.lifecycle.iter().map(|row| (&row.operator, row.ops));
        let customs = rbac.customs.iter().map(|row| (&row.operator, row.ops));
        let named = names(&[held]);
        let denies = |ops: OpSet| [Op::C, Op::R, Op::U, Op::D, Op::N, Op::P].into_iter().any(|op| ops.denies(op));
        let mut rows = moves.chain(slots).chain(lifecycle).chain(customs);
        rows.any(|(operator, ops)| denies(ops) && self.any(operator, &named))
    }

    fn rank_of_trait(&self, held: &str) -> u32 {
        let declared = self.manifest.rbac.traits.iter().find(|row| row.name == held);
        declared.expect("only declared traits have rules").rank
    }

    /// `None` is ∞.
    fn rank(&self, roles: &Roles, who: &PublicKey) -> Option<u32> {
        let held = roles.held(who);
        let counting = held.iter().filter(|held| !self.restrictive(held)).map(|held| self.rank_of_trait(held));
        let owner = (roles.state(who) == "OWNER").then_some(0);
        counting.chain(owner).min()
    }

    fn stands_above(&self, roles: &Roles, author: &PublicKey, target: &PublicKey) -> bool {
        match (self.rank(roles, author), self.rank(roles, target)) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(author), Some(target)) => author < target,
        }
    }

    fn above_trait(&self, roles: &Roles, author: &PublicKey, held: &str) -> bool {
        self.manifest.rbac.traits.iter().any(|row| row.name == held)
            && self.rank(roles, author).is_some_and(|rank| rank < self.rank_of_trait(held))
    }

    fn loses_last_owner(&self, roles: &Roles, target: &PublicKey, to: &str, left: &Names) -> bool {
        let by_trait = self.manifest.rbac.traits.iter().any(|row| row.name == "owner");
        let owns = |state: &str, held: &Names| if by_trait { held.contains("owner") } else { state == "OWNER" };
        let everyone: BTreeSet<&PublicKey> = roles.states.keys().chain(roles.traits.keys()).collect();
        let owners: Vec<_> = everyone.into_iter().filter(|who| owns(&roles.state(who), &roles.held(who))).collect();
        owners == [target] && !owns(to, left)
    }
}

impl Roles {
    fn state(&self, who: &PublicKey) -> String {
        self.states.get(who).cloned().unwrap_or_else(|| "OUTSIDER".into())
    }

    fn held(&self, who: &PublicKey) -> Names {
        self.traits.get(who).cloned().unwrap_or_default()
    }

    /// Everything that a column may say of an identity that is known.
    fn columns(&self, who: &PublicKey) -> Names {
        let mut is = self.held(who);
        is.extend([self.state(who), "Public".to_owned()]);
        is
    }
}

/// The answer of the rule that got furthest; without any, nobody is permitted.
fn furthest(rules: Vec<Checks>) -> &'static str {
    let answers = rules.iter().map(|checks| checks.iter().find(|(_, holds)| !holds).map_or("ok", |(code, _)| code));
    let place = |answer: &&str| FURTHER.iter().position(|code| code == answer);
    answers.max_by_key(place).unwrap_or("unauthorized")
}

fn permitted(ops: &[OpSet], op: Op) -> bool {
    ops.iter().any(|set| set.allows(op)) && !ops.iter().any(|set| set.denies(op))
}

fn names(of: &[&str]) -> Names {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn state_name(manifest: &Manifest, state: StateNumber) -> String {
    match state.0 {
        0 => "OUTSIDER".into(),
        number => manifest.rbac.states[usize::from(number) - 1].clone(),
    }
}

fn column_name(manifest: &Manifest, column: Column) -> String {
    match column {
        Column::State(state) => state_name(manifest, state),
        Column::Trait(held) => manifest.rbac.traits[usize::from(held.0)].name.clone(),
        Column::Own => "Self".into(),
        Column::Sender => "Sender".into(),
        Column::Public => "Public".into(),
    }
}

fn slot_event(kind: SlotKind) -> &'static str {
    match kind {
        SlotKind::Shared => "Shared",
        SlotKind::Own => "Own",
    }
}

fn slot_key(author: &PublicKey, own: bool, key: &str) -> String {
    if own { format!("own {author} {key}") } else { format!("shared {key}") }
}
