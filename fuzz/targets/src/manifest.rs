//! Manifests: a refusal names a place that is there; one that is taken says the same when it is written out in full.

use crate::manifest_text::format;
use crate::value;
use protocol::code::Detail;
use protocol::{Code, Json, Manifest, PublicKey};

/// Bytes as a Manifest's content.
pub fn run(bytes: &[u8]) {
    let Some(content) = value(bytes) else { return };
    let manifest = match Manifest::parse(&content) {
        Ok(manifest) => manifest,
        Err(refused) => {
            assert_eq!(refused.code, Code::InvalidManifest);
            let Detail::Path(path) = &refused.detail else { panic!("{refused:?} names no place") };
            assert!(leads_somewhere(&content, path), "{path} in {}", content.to_jcs());
            return;
        }
    };
    let written = format(&manifest);
    assert_eq!(Manifest::parse(&written).as_ref(), Ok(&manifest));
    let lints = manifest.lint();
    for lint in &lints {
        assert!(!lint.advice.message().is_empty());
        assert!(leads_somewhere(&written, &lint.path), "{} of {:?}", lint.path, lint.advice);
    }
    for row in &manifest.rbac.init {
        assert_eq!(Manifest::parse_for(&content, &row.identity).as_ref(), Ok(&manifest));
    }
    let stranger = PublicKey([0; 32]);
    assert_eq!(Manifest::parse_for(&content, &stranger).map_err(|refused| refused.code), Err(Code::InvalidManifest));
}

/// Whether every step of a path but the last is there. The last may name what is missing; a row that is counted never is.
fn leads_somewhere(content: &Json, path: &str) -> bool {
    let mut at = Some(content);
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let Some(holder) = at else { return false };
        let (name, row) = step.split_once('[').map_or((step, None), |(name, row)| (name, row.strip_suffix(']')));
        at = holder.member(name);
        if let Some(row) = row {
            let (Some(Json::Array(rows)), Ok(place)) = (at, row.parse::<usize>()) else { return false };
            at = rows.get(place);
            if at.is_none() {
                return false;
            }
        }
    }
    true
}
