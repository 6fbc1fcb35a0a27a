//! Names of the state tree, as people write them.

use core::fmt;
use protocol::state::StateName;
use protocol::{EventId, PublicKey};

/// A name of the state tree that owns its parts. Written `identity:<key>`, `event:<id>`, `shared:<slot>`, `own:<key>:<slot>`,
/// `gate:<alias>`, `lifecycle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// An identity's roles.
    Identity(PublicKey),
    /// An event's status.
    Event(EventId),
    /// A Shared slot.
    Shared(String),
    /// An Own slot.
    Own(PublicKey, String),
    /// A gate.
    Gate(String),
    /// The lifecycle.
    Lifecycle,
}

impl Name {
    /// Reads a name. `key_of` may know identities by other names than their keys.
    pub fn parse(text: &str, key_of: impl Fn(&str) -> Option<PublicKey>) -> Option<Name> {
        if text == "lifecycle" {
            return Some(Name::Lifecycle);
        }
        let (kind, rest) = text.split_once(':')?;
        match kind {
            "identity" => key_of(rest).map(Name::Identity),
            "event" => EventId::parse(rest).ok().map(Name::Event),
            "shared" => Some(Name::Shared(rest.into())),
            "own" => {
                let (who, slot) = rest.split_once(':')?;
                Some(Name::Own(key_of(who)?, slot.into()))
            }
            "gate" => Some(Name::Gate(rest.into())),
            _ => None,
        }
    }

    /// As the tree has it.
    pub fn state_name(&self) -> StateName<'_> {
        match self {
            Name::Identity(key) => StateName::Identity(key),
            Name::Event(id) => StateName::Event(id),
            Name::Shared(slot) => StateName::Shared(slot),
            Name::Own(key, slot) => StateName::Own(key, slot),
            Name::Gate(alias) => StateName::Gate(alias),
            Name::Lifecycle => StateName::Lifecycle,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Identity(key) => write!(f, "identity:{key}"),
            Name::Event(id) => write!(f, "event:{id}"),
            Name::Shared(slot) => write!(f, "shared:{slot}"),
            Name::Own(key, slot) => write!(f, "own:{key}:{slot}"),
            Name::Gate(alias) => write!(f, "gate:{alias}"),
            Name::Lifecycle => f.write_str("lifecycle"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let key = PublicKey([7; 32]);
        let names = [
            Name::Identity(key),
            Name::Event(EventId([9; 32])),
            Name::Shared("a:b".into()),
            Name::Own(key, "x:y".into()),
            Name::Gate("applications".into()),
            Name::Lifecycle,
        ];
        for name in names {
            assert_eq!(Name::parse(&name.to_string(), |text| PublicKey::parse(text).ok()), Some(name));
        }
        for none in ["", "gate", "identity:no", "own:aa", "event:00", "other:x"] {
            assert_eq!(Name::parse(none, |text| PublicKey::parse(text).ok()), None, "{none}");
        }
    }
}
