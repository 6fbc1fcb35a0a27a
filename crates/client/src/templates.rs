//! Manifests to begin with, each with the node's key and the creator filled in (`docs/manifests.md`).

use protocol::json::{self, MAX_DEPTH};
use protocol::{Json, PublicKey};

/// A manifest to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// One's own record: profile and public entries for anyone, private ones for the owner.
    Personal,
    /// A mailbox: friends write, only the owner reads.
    Dm,
    /// Applications, admission, moderation.
    Group,
    /// The smallest useful one: members read and write `Message`, the owner admits.
    Open,
}

impl Template {
    /// All of them.
    pub const ALL: [Template; 4] = [Template::Personal, Template::Dm, Template::Group, Template::Open];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Template::Personal => "personal",
            Template::Dm => "dm",
            Template::Group => "group",
            Template::Open => "open",
        }
    }

    /// The template of that name.
    pub fn named(name: &str) -> Option<Template> {
        Template::ALL.into_iter().find(|template| template.name() == name)
    }

    /// The Manifest's content for an enclave that `creator` makes at the node whose key is `sequencer`.
    pub fn manifest(self, sequencer: &PublicKey, creator: &PublicKey) -> Json {
        fill(self.placeholders(), sequencer, creator)
    }

    /// The content with `SEQ` and `ME` where the keys belong.
    pub fn placeholders(self) -> Json {
        let text = match self {
            Template::Personal => include_str!("../../../vectors/templates/personal.json"),
            Template::Dm => include_str!("../../../vectors/templates/dm.json"),
            Template::Group => include_str!("../../../vectors/templates/group.json"),
            Template::Open => include_str!("../../../vectors/templates/open.json"),
        };
        json::parse(text.as_bytes(), MAX_DEPTH).expect("a test reads every template")
    }
}

/// Puts the keys where a template says `SEQ` and `ME`.
pub fn fill(value: Json, sequencer: &PublicKey, creator: &PublicKey) -> Json {
    match value {
        Json::Text(text) if text == "SEQ" => Json::from(sequencer.hex()),
        Json::Text(text) if text == "ME" => Json::from(creator.hex()),
        Json::Array(items) => items.into_iter().map(|item| fill(item, sequencer, creator)).collect::<Vec<_>>().into(),
        Json::Object(members) => {
            Json::object(members.into_iter().map(|(name, value)| (name, fill(value, sequencer, creator))))
        }
        Json::Null | Json::Bool(_) | Json::Integer(_) | Json::Text(_) | Json::Canonical(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use protocol::Manifest;

    #[test]
    fn every_template_is_a_valid_manifest_of_its_creator() {
        let sequencer = Identity::from_secret(&"44".repeat(32)).expect("a key").public();
        let creator = Identity::from_secret(&"33".repeat(32)).expect("a key").public();
        for template in Template::ALL {
            let content = template.manifest(&sequencer, &creator);
            let manifest = Manifest::parse_for(&content, &creator);
            assert_eq!(manifest.map(|m| (m.sequencer, m.app)), Ok((sequencer, Some(template.name().to_string()))));
            assert_eq!(Template::named(template.name()), Some(template));
        }
        assert_eq!(Template::named("none"), None);
    }
}
