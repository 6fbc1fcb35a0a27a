//! How long a record is kept, and when its payload may go (ledger.md 3): pure judgements over what is known of a record.

use crate::entry::{Mode, Record};
use crate::index::RecordState;
use crate::policy::Policy;
use crate::rejection::Rejection;
use crate::time::{Date, Timestamp, Until};
use crate::value::{Actor, Case, ClassName};

/// What a record is kept by at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Kept until; without a date, for ever until one is set.
    pub until: Option<Until>,
    /// Whose rule it is under, if it says so itself.
    pub mode: Option<Mode>,
    /// Its class.
    pub class: Option<ClassName>,
}

impl Retention {
    /// What a record says of itself.
    pub fn of(record: &Record) -> Retention {
        Retention { until: record.retain_until, mode: record.retention_mode, class: record.class.clone() }
    }

    /// Who may change it: the stricter of the module's mode and its own.
    pub fn effective_mode(&self, policy: &Policy) -> Mode {
        self.mode.map_or(policy.mode, |mode| mode.max(policy.mode))
    }
}

/// The rights that touch retention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// May place holds and extend.
    Hold,
    /// May do all.
    Admin,
}

/// The least that class or module ask for, for something that begins on a day; nothing for a class that waits for its event.
///
/// # Errors
/// [`Rejection::InvalidField`] for a class that the policy does not have.
fn least(policy: &Policy, class: Option<&ClassName>, start: Date) -> Result<Option<Until>, Rejection> {
    let period = match class {
        Some(name) => {
            let class = policy.classes.get(name).ok_or(Rejection::InvalidField("class"))?;
            if class.after.is_some() {
                return Ok(None);
            }
            Some(class.period)
        }
        None => policy.default_period,
    };
    Ok(period.map(|period| Until::Date(period.after(start))))
}

/// What a record's `retain-until` line says: the date that was asked for, else that of its class, else of the module.
///
/// # Errors
/// [`Rejection::InvalidField`] for an unknown class or a mode below the module's; [`Rejection::RetentionTooShort`] in compliance mode.
pub fn at_append(policy: &Policy, asked: &Retention, today: Date) -> Result<Option<Until>, Rejection> {
    if asked.mode.is_some_and(|mode| mode < policy.mode) {
        return Err(Rejection::InvalidField("mode"));
    }
    let least = least(policy, asked.class.as_ref(), today)?;
    match (asked.until, least) {
        (Some(asked_until), Some(least)) if asked_until < least && asked.effective_mode(policy) == Mode::Compliance => {
            Err(Rejection::RetentionTooShort)
        }
        (Some(until), _) => Ok(Some(until)),
        (None, least) => Ok(least),
    }
}

/// A change of a record's retention that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionChange {
    /// Kept until.
    pub until: Until,
    /// Under whose rule.
    pub mode: Option<Mode>,
    /// By what right.
    pub scope: Scope,
    /// By whom.
    pub actor: Actor,
}

/// Whether a record's retention may be changed.
///
/// # Errors
/// [`Rejection::Disposed`]; [`Rejection::RetentionLocked`] for what compliance mode forbids; [`Rejection::RetentionTooShort`];
/// [`Rejection::Forbidden`] for what an admin may; [`Rejection::FourEyes`].
pub fn judge_change(
    policy: &Policy,
    state: &RecordState,
    change: &RetentionChange,
    now: Timestamp,
) -> Result<(), Rejection> {
    if state.disposed.is_some() {
        return Err(Rejection::Disposed { index: state.index });
    }
    let mode = state.retention.effective_mode(policy);
    if mode == Mode::Compliance && change.mode == Some(Mode::Governance) {
        return Err(Rejection::RetentionLocked);
    }
    let admin = || if change.scope == Scope::Admin { Ok(()) } else { Err(Rejection::Forbidden("admin")) };
    match state.retention.until {
        None => {
            admin()?;
            let class = state.retention.class.as_ref();
            let least = least(policy, class, state.time.date()).unwrap_or(None).unwrap_or(Until::Date(now.date()));
            let short = change.until < least.max(Until::Date(now.date()));
            if mode == Mode::Compliance && short { Err(Rejection::RetentionTooShort) } else { Ok(()) }
        }
        Some(until) if change.until >= until => Ok(()),
        Some(_) if mode == Mode::Compliance => Err(Rejection::RetentionLocked),
        Some(_) => {
            admin()?;
            four_eyes(policy, state, &change.actor)
        }
    }
}

/// Whoever appended a record may not end its keeping.
fn four_eyes(policy: &Policy, state: &RecordState, actor: &Actor) -> Result<(), Rejection> {
    if policy.four_eyes && state.record.author.actor == *actor { Err(Rejection::FourEyes) } else { Ok(()) }
}

/// What a disposal is judged by, beside the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposal<'a> {
    /// By whom.
    pub actor: &'a Actor,
    /// The cases that hold the record.
    pub cases: &'a [Case],
    /// The host's time.
    pub now: Timestamp,
    /// The latest time that somebody else has signed for a checkpoint that covers the record.
    pub outside_time: Option<Timestamp>,
}

/// Whether a record's payload may go.
///
/// # Errors
/// The first of [`Rejection::Disposed`], [`Rejection::Retained`], [`Rejection::Held`], [`Rejection::FourEyes`], [`Rejection::NoOutsideTime`].
pub fn judge_disposal(policy: &Policy, state: &RecordState, disposal: &Disposal<'_>) -> Result<(), Rejection> {
    if let Some(index) = state.disposed {
        return Err(Rejection::Disposed { index });
    }
    let until = state.retention.until.unwrap_or(Until::Forever);
    if !until.has_passed(disposal.now) {
        return Err(Rejection::Retained { until });
    }
    if let Some(case) = disposal.cases.first() {
        return Err(Rejection::Held { case: case.clone() });
    }
    four_eyes(policy, state, disposal.actor)?;
    let needed = policy.outside_time || state.retention.effective_mode(policy) == Mode::Compliance;
    let seen = disposal.outside_time.is_some_and(|time| until.has_passed(time));
    if needed && !seen { Err(Rejection::NoOutsideTime) } else { Ok(()) }
}
