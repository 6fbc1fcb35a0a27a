//! The rules that a manifest keeps as a whole, once each of its rows has been read (`docs/protocol.md`, Manifest, Rank).

use crate::manifest::*;
use crate::manifest_parse::{OWNER_TRAIT, trait_index};
use crate::manifest_values::Fault;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Marks the restrictive traits and checks what one row alone cannot show. Paths are those below the content's root.
pub(crate) fn check(rbac: &mut Rbac) -> Result<(), Fault> {
    check_denies(rbac)?;
    check_transfers(rbac)?;
    check_owner_rank(rbac)?;
    check_gates(rbac)?;
    check_states(rbac)?;
    check_init(rbac)
}

/// A trait that gives power, or is called `owner`, is no column of a deny: it would become restrictive and lose its rank.
fn check_denies(rbac: &mut Rbac) -> Result<(), Fault> {
    let mut powers: BTreeSet<TraitIndex> = trait_index(&rbac.traits, OWNER_TRAIT).into_iter().collect();
    for operator in powerful_operators(rbac) {
        powers.extend(operator.iter().filter_map(trait_of));
    }
    let mut restrictive = BTreeSet::new();
    for (section, place, operator) in denying_operators(rbac) {
        for held in operator.iter().filter_map(trait_of) {
            if powers.contains(&held) {
                return Err(Fault::at(format!("{section}[{place}].operator")));
            }
            restrictive.insert(held);
        }
    }
    for held in restrictive {
        rbac.traits[usize::from(held.0)].restrictive = true;
    }
    Ok(())
}

fn trait_of(column: &Column) -> Option<TraitIndex> {
    match column {
        Column::Trait(held) => Some(*held),
        Column::State(_) | Column::Own | Column::Sender | Column::Public => None,
    }
}

/// Operators of moves and lifecycle that have C, of grants, transfers and gates.
fn powerful_operators(rbac: &Rbac) -> impl Iterator<Item = &Vec<Column>> {
    let moves = rbac.moves.iter().filter(|row| row.ops.allows(Op::C)).map(|row| &row.operator);
    let lifecycle = rbac.lifecycle.iter().filter(|row| row.ops.allows(Op::C)).map(|row| &row.operator);
    let grants = rbac.grants.iter().map(|row| &row.operator);
    let transfers = rbac.transfers.iter().map(|row| &row.operator);
    let gates = aliased_rows(rbac).filter_map(|(.., gate)| Some(&gate?.operator));
    moves.chain(lifecycle).chain(grants).chain(transfers).chain(gates)
}

/// The operators of each row that has a deny, with their place.
fn denying_operators(rbac: &Rbac) -> impl Iterator<Item = (&'static str, usize, &Vec<Column>)> {
    let moves = rbac.moves.iter().enumerate().map(|(place, row)| ("moves", place, row.ops, &row.operator));
    let slots = rbac.slots.iter().enumerate().map(|(place, row)| ("slots", place, row.ops, &row.operator));
    let lifecycle = rbac.lifecycle.iter().enumerate().map(|(place, row)| ("lifecycle", place, row.ops, &row.operator));
    let customs = rbac.customs.iter().enumerate().map(|(place, row)| ("customs", place, row.ops, &row.operator));
    let rows = moves.chain(slots).chain(lifecycle).chain(customs);
    rows.filter(|(_, _, ops, _)| ops.has_deny()).map(|(section, place, _, operator)| (section, place, operator))
}

fn check_transfers(rbac: &Rbac) -> Result<(), Fault> {
    let restrictive = |row: &TransferRule| rbac.traits[usize::from(row.trait_index.0)].restrictive;
    match rbac.transfers.iter().position(restrictive) {
        Some(place) => Err(Fault::at(format!("transfers[{place}].trait"))),
        None => Ok(()),
    }
}

fn check_owner_rank(rbac: &Rbac) -> Result<(), Fault> {
    let Some(owner) = trait_index(&rbac.traits, OWNER_TRAIT) else { return Ok(()) };
    let least = rbac.traits.iter().map(|declared| declared.rank).min();
    if least == Some(rbac.traits[usize::from(owner.0)].rank) {
        Ok(())
    } else {
        Err(Fault::at(format!("traits[{}]", owner.0)))
    }
}

/// A gate is named by its alias, and an alias names one row.
fn check_gates(rbac: &Rbac) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for (section, place, alias, gate) in aliased_rows(rbac) {
        let holds = match alias {
            Some(alias) => seen.insert(alias),
            None => gate.is_none(),
        };
        if !holds {
            return Err(Fault::at(format!("{section}[{place}].alias")));
        }
    }
    Ok(())
}

type Aliased<'a> = (&'static str, usize, Option<&'a String>, Option<&'a GateRule>);

/// The rows that may have an alias and a gate.
fn aliased_rows(rbac: &Rbac) -> impl Iterator<Item = Aliased<'_>> {
    let moves = rbac.moves.iter().enumerate();
    let moves = moves.map(|(place, row)| ("moves", place, row.alias.as_ref(), row.gate.as_ref()));
    let customs = rbac.customs.iter().enumerate();
    moves.chain(customs.map(|(place, row)| ("customs", place, row.alias.as_ref(), row.gate.as_ref())))
}

/// Every State can be come into, and one that a Move leads into can be left by a Move.
fn check_states(rbac: &Rbac) -> Result<(), Fault> {
    let allowed = || rbac.moves.iter().filter(|row| row.ops.allows(Op::C));
    let entered: BTreeSet<StateNumber> = allowed().map(|row| row.to).collect();
    let left: BTreeSet<StateNumber> = allowed().map(|row| row.from).collect();
    let initial: BTreeSet<StateNumber> = rbac.init.iter().map(|row| row.state).collect();
    for place in 0..rbac.states.len() {
        let state = StateNumber(place as u8 + 1);
        let holds = if entered.contains(&state) { left.contains(&state) } else { initial.contains(&state) };
        if !holds {
            return Err(Fault::at(format!("states[{place}]")));
        }
    }
    Ok(())
}

fn check_init(rbac: &Rbac) -> Result<(), Fault> {
    if rbac.init.is_empty() {
        return Err(Fault::at("init".to_string()));
    }
    let mut seen = BTreeSet::new();
    for (place, row) in rbac.init.iter().enumerate() {
        if !seen.insert(row.identity) {
            return Err(Fault::at(format!("init[{place}].identity")));
        }
        let mut held = BTreeSet::new();
        if !row.traits.iter().all(|index| held.insert(index)) {
            return Err(Fault::at(format!("init[{place}].traits")));
        }
    }
    Ok(())
}
