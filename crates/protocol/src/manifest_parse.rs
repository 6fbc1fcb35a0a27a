//! Reads a Manifest's content into resolved columns and refuses what breaks a rule, naming the place (`docs/protocol.md`, Manifest).
//!
//! A place is written from the content's root, like `RBAC.moves[2].to`: rows and declared names are counted, the entries of a
//! row's own lists are not. An unknown member is put to the object that holds it; the root itself is the empty path.

use crate::code::Rejection;
use crate::ids::PublicKey;
use crate::json::Json;
use crate::manifest::*;
use crate::manifest_rules;
use crate::manifest_values::*;
use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Bytes of the content's canonical form.
pub const MAX_MANIFEST_LEN: usize = 256 << 10;
/// Rows of all sections but `init`: each commit may look at all of them.
pub const MAX_RULES: usize = 1024;
/// Rows of `init`: each is a write at seq 0.
pub const MAX_INIT: usize = 1000;
/// Declared States: numbers 1 to 255 fit the lowest byte of a bitmask.
pub const MAX_STATES: usize = 255;
/// Declared traits: the bits of a bitmask above the State.
pub const MAX_TRAITS: usize = 248;
/// The State that everyone is in who is in no other.
pub const OUTSIDER: &str = "OUTSIDER";
/// The trait whose last holder cannot lose it.
pub const OWNER_TRAIT: &str = "owner";
/// The State that counts as rank 0.
pub const OWNER_STATE: &str = "OWNER";

/// Names that an app's own events never have.
pub const PROTOCOL_TYPES: [&str; 24] = [
    "Manifest",
    "Move",
    "Grant",
    "Revoke",
    "Transfer",
    "Gate",
    "AC_Bundle",
    "Shared",
    "Own",
    "Update",
    "Delete",
    "Pause",
    "Resume",
    "Terminate",
    "Migrate",
    "Recovered",
    "Receipt",
    "Query",
    "Pull",
    "Event",
    "EOSE",
    "Close",
    "Closed",
    "Error",
];

impl Manifest {
    /// Reads a Manifest's content by every rule but the one about its signer.
    ///
    /// # Errors
    /// `invalid_manifest` with the path of one fault.
    pub fn parse(content: &Json) -> Result<Manifest, Rejection> {
        parse_content(content).map_err(Fault::reject)
    }

    /// Reads the content of a Manifest that `signer` has signed: one who is not in `init` could never do anything in it.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and `invalid_manifest` with path `RBAC.init`.
    pub fn parse_for(content: &Json, signer: &PublicKey) -> Result<Manifest, Rejection> {
        let manifest = Manifest::parse(content)?;
        if manifest.rbac.init.iter().all(|row| row.identity != *signer) {
            return Err(Fault::at("RBAC.init".to_owned()).reject());
        }
        Ok(manifest)
    }
}

fn parse_content(content: &Json) -> Result<Manifest, Fault> {
    let root = Object::read(content, &["enc_v", "sequencer", "bundle", "app", "desc", "RBAC"])?;
    if content.to_jcs().len() > MAX_MANIFEST_LEN {
        return Err(Fault::here());
    }
    root.required("enc_v", |value| if value.as_uint() == Some(2) { Ok(()) } else { Err(Fault::here()) })?;
    Ok(Manifest {
        sequencer: root.required("sequencer", identity)?,
        bundle: root.optional("bundle", bundle)?.unwrap_or_default(),
        app: root.optional("app", text)?.map(ToOwned::to_owned),
        desc: root.optional("desc", text)?.map(ToOwned::to_owned),
        rbac: root.required("RBAC", rbac)?,
    })
}

fn bundle(value: &Json) -> Result<BundlePolicy, Fault> {
    let object = Object::read(value, &["size", "timeout"])?;
    let within = |least: u32, most: u32| {
        move |value: &Json| {
            let number = value.as_uint().and_then(|number| u32::try_from(number).ok());
            number.filter(|number| (least..=most).contains(number)).ok_or_else(Fault::here)
        }
    };
    let policy = BundlePolicy::default();
    let size = object.optional("size", within(1, 4096))?;
    Ok(BundlePolicy {
        size: size.map_or(policy.size, |size| size as u16),
        timeout_ms: object.optional("timeout", within(100, 3_600_000))?.unwrap_or(policy.timeout_ms),
    })
}

fn rbac(value: &Json) -> Result<Rbac, Fault> {
    let sections =
        ["states", "traits", "readers", "moves", "grants", "transfers", "slots", "lifecycle", "customs", "init"];
    let object = Object::read(value, &sections)?;
    let rules: usize = sections[2..9].iter().map(|section| object.len(section)).sum();
    if rules > MAX_RULES {
        return Err(Fault::here());
    }
    for (section, most) in [("states", MAX_STATES), ("traits", MAX_TRAITS), ("init", MAX_INIT)] {
        if object.len(section) > most {
            return Err(Fault::at(section.to_owned()));
        }
    }
    let states = object.rows("states", state_name)?;
    let traits = object.rows("traits", declared_trait)?;
    let names = Names { states: &states, traits: &traits };
    names.check_unique()?;
    // A manifest without `init` has no member who could act.
    let init = object.required("init", |_| Ok(())).and_then(|()| object.rows("init", |row| names.init(row)))?;
    let mut rbac = Rbac {
        readers: object.rows("readers", |row| names.reader(row))?,
        moves: object.rows("moves", |row| names.movement(row))?,
        grants: object.rows("grants", |row| names.grant(row))?,
        transfers: object.rows("transfers", |row| names.transfer(row))?,
        slots: object.rows("slots", |row| names.slot(row))?,
        lifecycle: object.rows("lifecycle", |row| names.lifecycle(row))?,
        customs: object.rows("customs", |row| names.custom(row))?,
        init,
        states: Vec::new(),
        traits: Vec::new(),
    };
    (rbac.states, rbac.traits) = (states, traits);
    manifest_rules::check(&mut rbac)?;
    Ok(rbac)
}

/// What rows may name.
struct Names<'a> {
    states: &'a [String],
    traits: &'a [Trait],
}

/// Where columns stand; each place admits its own contexts.
#[derive(Clone, Copy)]
enum Place {
    Readers,
    Moves,
    /// Grants, transfers, gates, lifecycle.
    Powers,
    Shared,
    Own,
    Customs,
}

impl Place {
    fn admits(self, column: Column) -> bool {
        match column {
            Column::Trait(_) => true,
            Column::State(StateNumber(0)) | Column::Public => match self {
                Place::Readers | Place::Shared | Place::Own | Place::Customs => true,
                Place::Moves | Place::Powers => false,
            },
            Column::State(_) => true,
            Column::Own => match self {
                Place::Moves | Place::Own => true,
                Place::Readers | Place::Powers | Place::Shared | Place::Customs => false,
            },
            Column::Sender => match self {
                Place::Customs => true,
                Place::Readers | Place::Moves | Place::Powers | Place::Shared | Place::Own => false,
            },
        }
    }
}

impl Names<'_> {
    fn check_unique(&self) -> Result<(), Fault> {
        for (place, name) in self.states.iter().enumerate() {
            if self.states[..place].contains(name) {
                return Err(Fault::at(format!("states[{place}]")));
            }
        }
        for (place, declared) in self.traits.iter().enumerate() {
            if self.traits[..place].iter().any(|other| other.name == declared.name || other.rank == declared.rank) {
                return Err(Fault::at(format!("traits[{place}]")));
            }
        }
        Ok(())
    }

    fn reader(&self, row: &Json) -> Result<ReaderRule, Fault> {
        let object = Object::read(row, &["type", "reads", "retention"])?;
        Ok(ReaderRule {
            column: object.required("type", |value| self.column(value, Place::Readers))?,
            reads: object.required("reads", reads)?,
            retention: object
                .optional("retention", |value| match value.as_text() {
                    Some("current") => Ok(Retention::Current),
                    Some("snapshot") => Ok(Retention::Snapshot),
                    _ => Err(Fault::here()),
                })?
                .unwrap_or(Retention::Current),
        })
    }

    fn movement(&self, row: &Json) -> Result<MoveRule, Fault> {
        let object = Object::read(row, &["event", "from", "to", "operator", "ops", "alias", "gate"])?;
        object.required("event", |value| if value.as_text() == Some("Move") { Ok(()) } else { Err(Fault::here()) })?;
        let from = object.required("from", |value| self.state(value))?;
        Ok(MoveRule {
            from,
            to: object.required("to", |value| {
                self.state(value).and_then(|to| if to == from { Err(Fault::here()) } else { Ok(to) })
            })?,
            operator: object.required("operator", |value| self.operator(value, Place::Moves))?,
            ops: object.required("ops", ops(&[Op::C]))?,
            alias: object.optional("alias", label)?,
            gate: object.optional("gate", |value| self.gate(value))?,
        })
    }

    fn grant(&self, row: &Json) -> Result<GrantRule, Fault> {
        let object = Object::read(row, &["event", "operator", "scope", "trait"])?;
        Ok(GrantRule {
            event: object.required("event", |value| match value.as_text() {
                Some("Grant") => Ok(GrantKind::Grant),
                Some("Revoke") => Ok(GrantKind::Revoke),
                _ => Err(Fault::here()),
            })?,
            operator: object.required("operator", |value| self.operators(value, Place::Powers))?,
            scope: object.required("scope", |value| some_of(value, |state| self.state(state)))?,
            traits: object.required("trait", |value| some_of(value, |held| self.held(held)))?,
        })
    }

    fn transfer(&self, row: &Json) -> Result<TransferRule, Fault> {
        let object = Object::read(row, &["trait", "operator", "scope"])?;
        Ok(TransferRule {
            trait_index: object.required("trait", |value| self.held(value))?,
            operator: object.required("operator", |value| self.operators(value, Place::Powers))?,
            scope: object.required("scope", |value| some_of(value, |state| self.state(state)))?,
        })
    }

    fn slot(&self, row: &Json) -> Result<SlotRule, Fault> {
        let object = Object::read(row, &["event", "operator", "ops", "key"])?;
        let event = object.required("event", |value| match value.as_text() {
            Some("Shared") => Ok(SlotKind::Shared),
            Some("Own") => Ok(SlotKind::Own),
            _ => Err(Fault::here()),
        })?;
        let place = match event {
            SlotKind::Shared => Place::Shared,
            SlotKind::Own => Place::Own,
        };
        Ok(SlotRule {
            event,
            operator: object.required("operator", |value| self.operator(value, place))?,
            ops: object.required("ops", ops(&Op::ALL))?,
            key: object.required("key", label)?,
        })
    }

    fn lifecycle(&self, row: &Json) -> Result<LifecycleRule, Fault> {
        let object = Object::read(row, &["event", "operator", "ops"])?;
        Ok(LifecycleRule {
            event: object.required("event", |value| match value.as_text() {
                Some("Pause") => Ok(LifecycleEvent::Pause),
                Some("Resume") => Ok(LifecycleEvent::Resume),
                Some("Terminate") => Ok(LifecycleEvent::Terminate),
                _ => Err(Fault::here()),
            })?,
            operator: object.required("operator", |value| self.operator(value, Place::Powers))?,
            ops: object.required("ops", ops(&[Op::C]))?,
        })
    }

    fn custom(&self, row: &Json) -> Result<CustomRule, Fault> {
        let object = Object::read(row, &["event", "operator", "ops", "alias", "gate"])?;
        let operator = object.required("operator", |value| self.operator(value, Place::Customs))?;
        // Only an event that is there has a sender: a row that names it is about U and D alone.
        let allowed: &[Op] = if operator.contains(&Column::Sender) { &[Op::U, Op::D] } else { &Op::ALL };
        Ok(CustomRule {
            event: object.required("event", |value| {
                let event = event_type(value)?;
                if PROTOCOL_TYPES.contains(&event.as_str()) { Err(Fault::here()) } else { Ok(event) }
            })?,
            operator,
            ops: object.required("ops", ops(allowed))?,
            alias: object.optional("alias", label)?,
            gate: object.optional("gate", |value| self.gate(value))?,
        })
    }

    fn init(&self, row: &Json) -> Result<InitRow, Fault> {
        let object = Object::read(row, &["identity", "state", "traits"])?;
        Ok(InitRow {
            identity: object.required("identity", identity)?,
            state: object.required("state", |value| self.state(value))?,
            traits: object.required("traits", |value| each(value, |held| self.held(held)))?,
        })
    }

    fn gate(&self, value: &Json) -> Result<GateRule, Fault> {
        let object = Object::read(value, &["operator", "open"])?;
        Ok(GateRule {
            operator: object.required("operator", |value| self.operators(value, Place::Powers))?,
            open: object
                .optional("open", |value| match value {
                    Json::Bool(open) => Ok(*open),
                    _ => Err(Fault::here()),
                })?
                .unwrap_or(false),
        })
    }

    /// `COL` or `[COL]`.
    fn operator(&self, value: &Json, place: Place) -> Result<Vec<Column>, Fault> {
        match value {
            Json::Text(_) => self.column(value, place).map(|column| alloc::vec![column]),
            _ => self.operators(value, place),
        }
    }

    fn operators(&self, value: &Json, place: Place) -> Result<Vec<Column>, Fault> {
        some_of(value, |column| self.column(column, place))
    }

    fn column(&self, value: &Json, place: Place) -> Result<Column, Fault> {
        let column = match text(value)? {
            "Self" => Column::Own,
            "Sender" => Column::Sender,
            "Public" => Column::Public,
            name if name.starts_with(|first: char| first.is_ascii_lowercase()) => Column::Trait(self.held(value)?),
            _ => Column::State(self.state(value)?),
        };
        if place.admits(column) { Ok(column) } else { Err(Fault::here()) }
    }

    fn state(&self, value: &Json) -> Result<StateNumber, Fault> {
        let name = text(value)?;
        state_number(self.states, name).ok_or_else(Fault::here)
    }

    fn held(&self, value: &Json) -> Result<TraitIndex, Fault> {
        let name = text(value)?;
        trait_index(self.traits, name).ok_or_else(Fault::here)
    }
}

/// The number of a State's name; `OUTSIDER` is 0.
pub(crate) fn state_number(states: &[String], name: &str) -> Option<StateNumber> {
    if name == OUTSIDER {
        return Some(StateNumber(0));
    }
    // At most 255 are declared, so the number fits.
    states.iter().position(|state| state == name).map(|place| StateNumber(place as u8 + 1))
}

/// The index of a trait's name.
pub(crate) fn trait_index(traits: &[Trait], name: &str) -> Option<TraitIndex> {
    traits.iter().position(|declared| declared.name == name).map(|place| TraitIndex(place as u8))
}
