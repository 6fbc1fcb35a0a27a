//! Actions as a configuration names them.

use anyhow::bail;
use service::call::Admission;

/// Actions that the chain judges, by the names of [`Admission::name`].
const NAMES: [&str; 11] = [
    "create",
    "query",
    "pull",
    "subscribe",
    "proof",
    "push",
    "snapshot",
    "restore",
    "init",
    "close-bundle",
    ANY_COMMIT,
];
/// A commit of whatever type.
const ANY_COMMIT: &str = "commit:*";

/// Some actions. `commit:*` is every commit but a Manifest, which is `create`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Actions(Vec<String>);

impl Actions {
    /// Those of these names. One that nothing is called, or that is public and never judged, is an error.
    pub fn named(names: &[String]) -> anyhow::Result<Actions> {
        for name in names {
            let commit = name.strip_prefix("commit:").is_some_and(|event_type| !event_type.is_empty());
            if !commit && !NAMES.contains(&name.as_str()) {
                bail!("{name:?} is no action that can be judged; there are {} and commit:<type>", NAMES.join(", "));
            }
        }
        Ok(Actions(names.to_vec()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this action is one of them.
    pub fn include(&self, admission: &Admission) -> bool {
        if self.is_empty() {
            return false;
        }
        let action = admission.name();
        let commit = matches!(admission, Admission::Commit(_));
        self.0.iter().any(|name| *name == action || commit && name == ANY_COMMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], admission: Admission, included: bool) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let actions = Actions::named(&names).expect("the names are known");
        assert_eq!(actions.include(&admission), included, "{names:?} and {}", admission.name());
    }

    #[test]
    fn names_mean_what_they_say() {
        let note = || Admission::Commit("note".into());
        check(&[], note(), false);
        check(&["commit:*"], note(), true);
        check(&["commit:*"], Admission::Create, false);
        check(&["commit:note"], note(), true);
        check(&["commit:note"], Admission::Commit("notes".into()), false);
        check(&["commit:note"], Admission::Commit("*".into()), false);
        check(&["query", "create"], Admission::Create, true);
        check(&["query", "create"], Admission::Pull, false);
        check(&["close-bundle"], Admission::CloseBundle, true);
    }

    #[test]
    fn unknown_and_public_names_are_refused() {
        for name in ["", "commit", "commit:", "info", "log", "Create", "close_bundle"] {
            assert!(Actions::named(&[name.to_owned()]).is_err(), "{name}");
        }
        for name in NAMES {
            assert!(Actions::named(&[name.to_owned()]).is_ok(), "{name}");
        }
    }
}
