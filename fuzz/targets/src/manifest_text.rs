//! A manifest written back as JSON: a second account of its grammar, for the reader to be compared with.

use protocol::Json;
use protocol::manifest::{
    Column, GateRule, GrantKind, LifecycleEvent, Manifest, Op, OpSet, Reads, Retention, SlotKind, StateNumber,
    TraitIndex,
};

/// The content that says what the manifest says, every default written out.
pub(crate) fn format(manifest: &Manifest) -> Json {
    let bundle = Json::object([
        ("size", Json::from(u64::from(manifest.bundle.size))),
        ("timeout", Json::from(u64::from(manifest.bundle.timeout_ms))),
    ]);
    let mut members = vec![
        ("enc_v", Json::from(2)),
        ("sequencer", Json::from(manifest.sequencer.hex())),
        ("bundle", bundle),
        ("RBAC", Names(manifest).rbac()),
    ];
    members.extend(manifest.app.as_deref().map(|app| ("app", Json::from(app))));
    members.extend(manifest.desc.as_deref().map(|desc| ("desc", Json::from(desc))));
    Json::object(members)
}

struct Names<'a>(&'a Manifest);

type Members = Vec<(&'static str, Json)>;

impl Names<'_> {
    fn rbac(&self) -> Json {
        let rbac = &self.0.rbac;
        let declared = rbac.traits.iter().map(|held| Json::from(format!("{}({})", held.name, held.rank)));
        Json::object([
            ("states", Json::Array(rbac.states.iter().map(|state| Json::from(state.as_str())).collect())),
            ("traits", Json::Array(declared.collect())),
            (
                "readers",
                rows(&rbac.readers, |row| {
                    let retention = match row.retention {
                        Retention::Current => "current",
                        Retention::Snapshot => "snapshot",
                    };
                    vec![
                        ("type", self.column(row.column)),
                        ("reads", reads(&row.reads)),
                        ("retention", retention.into()),
                    ]
                }),
            ),
            (
                "moves",
                rows(&rbac.moves, |row| {
                    let mut members =
                        vec![("event", "Move".into()), ("from", self.state(row.from)), ("to", self.state(row.to))];
                    members.extend([("operator", self.columns(&row.operator)), ("ops", ops(row.ops))]);
                    self.gated(members, &row.alias, &row.gate)
                }),
            ),
            (
                "grants",
                rows(&rbac.grants, |row| {
                    let event = match row.event {
                        GrantKind::Grant => "Grant",
                        GrantKind::Revoke => "Revoke",
                    };
                    let mut members = vec![("event", event.into()), ("operator", self.columns(&row.operator))];
                    members.extend([("scope", self.states(&row.scope)), ("trait", self.traits(&row.traits))]);
                    members
                }),
            ),
            (
                "transfers",
                rows(&rbac.transfers, |row| {
                    let held = ("trait", self.held(row.trait_index));
                    vec![held, ("operator", self.columns(&row.operator)), ("scope", self.states(&row.scope))]
                }),
            ),
            (
                "slots",
                rows(&rbac.slots, |row| {
                    let event = match row.event {
                        SlotKind::Shared => "Shared",
                        SlotKind::Own => "Own",
                    };
                    let mut members = vec![("event", event.into()), ("operator", self.columns(&row.operator))];
                    members.extend([("ops", ops(row.ops)), ("key", Json::from(row.key.as_str()))]);
                    members
                }),
            ),
            (
                "lifecycle",
                rows(&rbac.lifecycle, |row| {
                    let event = match row.event {
                        LifecycleEvent::Pause => "Pause",
                        LifecycleEvent::Resume => "Resume",
                        LifecycleEvent::Terminate => "Terminate",
                    };
                    vec![("event", event.into()), ("operator", self.columns(&row.operator)), ("ops", ops(row.ops))]
                }),
            ),
            (
                "customs",
                rows(&rbac.customs, |row| {
                    let event = ("event", Json::from(row.event.as_str()));
                    let members = vec![event, ("operator", self.columns(&row.operator)), ("ops", ops(row.ops))];
                    self.gated(members, &row.alias, &row.gate)
                }),
            ),
            (
                "init",
                rows(&rbac.init, |row| {
                    let identity = ("identity", Json::from(row.identity.hex()));
                    vec![identity, ("state", self.state(row.state)), ("traits", self.traits(&row.traits))]
                }),
            ),
        ])
    }

    fn gated(&self, mut members: Members, alias: &Option<String>, gate: &Option<GateRule>) -> Members {
        members.extend(alias.as_deref().map(|alias| ("alias", Json::from(alias))));
        members.extend(gate.as_ref().map(|gate| {
            ("gate", Json::object([("operator", self.columns(&gate.operator)), ("open", Json::from(gate.open))]))
        }));
        members
    }

    fn columns(&self, columns: &[Column]) -> Json {
        Json::Array(columns.iter().map(|column| self.column(*column)).collect())
    }

    fn column(&self, column: Column) -> Json {
        match column {
            Column::State(state) => self.state(state),
            Column::Trait(held) => self.held(held),
            Column::Own => "Self".into(),
            Column::Sender => "Sender".into(),
            Column::Public => "Public".into(),
        }
    }

    fn states(&self, states: &[StateNumber]) -> Json {
        Json::Array(states.iter().map(|state| self.state(*state)).collect())
    }

    fn state(&self, state: StateNumber) -> Json {
        Json::from(self.0.state_name(state).expect("a State of this manifest"))
    }

    fn traits(&self, traits: &[TraitIndex]) -> Json {
        Json::Array(traits.iter().map(|held| self.held(*held)).collect())
    }

    fn held(&self, held: TraitIndex) -> Json {
        Json::from(self.0.declared_trait(held).expect("a trait of this manifest").name.as_str())
    }
}

fn rows<T>(rows: &[T], row: impl Fn(&T) -> Members) -> Json {
    Json::Array(rows.iter().map(|rule| Json::object(row(rule))).collect())
}

fn reads(reads: &Reads) -> Json {
    match reads {
        Reads::All => "*".into(),
        Reads::Types(types) => Json::Array(types.iter().map(|event_type| Json::from(event_type.as_str())).collect()),
    }
}

fn ops(set: OpSet) -> Json {
    let allowed = Op::ALL.into_iter().filter(|op| set.allows(*op)).map(|op| format!("{op:?}"));
    let denied = Op::ALL.into_iter().filter(|op| set.denies(*op)).map(|op| format!("_{op:?}"));
    Json::Array(allowed.chain(denied).map(Json::from).collect())
}
