//! A Manifest is judged whole before it makes an enclave.

use super::{Check, Verdict, check};
use crate::hall::CALM;
use crate::judge::field::{Field, submitting};
use crate::judge::talk::text;
use crate::judge::why::{equal, hold};
use crate::people::{json, key, now};
use protocol::commit::Draft;
use protocol::{Code, EnclaveId};

const SECTION: &str = "enc.md 4.1";

/// That a hall's Manifest with each of these replacements is refused, at the path, and that it is taken without.
fn broken(f: &Field<'_>, rows: &[(&str, &str, &str)]) -> Verdict {
    let people = f.people();
    let content = f.content(&people, CALM)?.to_jcs();
    let make = |content: &str| {
        Draft::manifest(&people.alice, &json(content), f.nonce(), now() + 60_000).sign(&people.alice).into_commit()
    };
    for (from, to, path) in rows {
        hold(content.contains(from), format!("{from} is in the Manifest"))?;
        let commit = make(&content.replacen(from, to, 1));
        let body =
            f.refuse(&submitting(&commit), Code::InvalidManifest).map_err(|why| why.about(format!("{to:.80}")))?;
        // How far into a list of values a path goes is left open: `…ops` and `…ops[0]` are the same place.
        let found = text(&body, "path")?;
        let inside = found.strip_prefix(path).is_some_and(|rest| rest.starts_with('[') && path.ends_with("ops"));
        hold(found == *path || inside, format!("path of {to:.80}: {found}, not {path}"))?;
        let ask = crate::wire::Ask::get(&format!("/enclaves/{}/sth", commit.enclave));
        f.refuse(&ask, Code::EnclaveNotFound)?;
    }
    f.submit(&make(&content)).map(drop)
}

pub const CHECKS: &[Check] = &[
    check("manifest.edition", SECTION, "enc_v is 2.", |f| broken(f, &[(r#""enc_v":2"#, r#""enc_v":3"#, "enc_v")])),
    check(
        "manifest.unlisted-member",
        SECTION,
        "An unknown member is refused; its path is the object that holds it.",
        |f| {
            broken(
                f,
                &[
                    (r#""enc_v":2"#, r#""enc_v":2,"more":1"#, ""),
                    (r#"{"event":"secret""#, r#"{"more":1,"event":"secret""#, "RBAC.customs[5]"),
                ],
            )
        },
    ),
    check("manifest.bundle", SECTION, "bundle.size is 1 to 4096, bundle.timeout 100 to 3,600,000 ms.", |f| {
        broken(
            f,
            &[
                (r#""size":256"#, r#""size":4097"#, "bundle.size"),
                (r#""size":256"#, r#""size":0"#, "bundle.size"),
                (r#""timeout":3600000"#, r#""timeout":99"#, "bundle.timeout"),
                (r#""timeout":3600000"#, r#""timeout":3600001"#, "bundle.timeout"),
            ],
        )
    }),
    check("manifest.state-names", SECTION, "A State is [A-Z][A-Z0-9_]{0,63}, and OUTSIDER is never declared.", |f| {
        broken(
            f,
            &[
                (r#""states":["MEMBER","BLOCKED"]"#, r#""states":["MEMBER","blocked"]"#, "RBAC.states[1]"),
                (r#""states":["MEMBER","BLOCKED"]"#, r#""states":["MEMBER","OUTSIDER"]"#, "RBAC.states[1]"),
            ],
        )
    }),
    check(
        "manifest.trait-names",
        SECTION,
        "A trait is [a-z][a-z0-9_]{0,63}(rank), its rank unique and without leading zeros.",
        |f| {
            broken(
                f,
                &[
                    (r#""admin(1)""#, r#""Admin(1)""#, "RBAC.traits[1]"),
                    (r#""admin(1)""#, r#""admin(01)""#, "RBAC.traits[1]"),
                    (r#""admin(1)""#, r#""admin(0)""#, "RBAC.traits[1]"),
                    (r#""admin(1)""#, r#""admin""#, "RBAC.traits[1]"),
                ],
            )
        },
    ),
    check("manifest.declared", SECTION, "Every column, State and trait that a row names is declared.", |f| {
        broken(
            f,
            &[
                (r#""from":"BLOCKED""#, r#""from":"NOWHERE""#, "RBAC.moves[3].from"),
                (
                    r#"{"event":"secret","operator":"owner""#,
                    r#"{"event":"secret","operator":"nobody""#,
                    "RBAC.customs[5].operator",
                ),
            ],
        )
    }),
    check("manifest.protocol-names", SECTION, "A custom event is never called like one of the protocol.", |f| {
        for name in ["Move", "Migrate", "Update", "Receipt", "EOSE"] {
            broken(f, &[(r#""event":"secret""#, &format!(r#""event":"{name}""#), "RBAC.customs[5].event")])?;
        }
        Ok(())
    }),
    check("manifest.moves-somewhere", SECTION, "from and to of a Move differ.", |f| {
        broken(
            f,
            &[(
                r#""from":"BLOCKED","operator":"owner","ops":["C"],"to":"OUTSIDER""#,
                r#""from":"BLOCKED","operator":"owner","ops":["C"],"to":"BLOCKED""#,
                "RBAC.moves[3].to",
            )],
        )
    }),
    check("manifest.contexts", SECTION, "Public, OUTSIDER and Sender are no operators of moves and lifecycle.", |f| {
        broken(
            f,
            &[
                (
                    r#"{"event":"Pause","operator":"owner""#,
                    r#"{"event":"Pause","operator":"Public""#,
                    "RBAC.lifecycle[0].operator",
                ),
                (
                    r#""from":"BLOCKED","operator":"owner""#,
                    r#""from":"BLOCKED","operator":"OUTSIDER""#,
                    "RBAC.moves[3].operator",
                ),
            ],
        )
    }),
    check("manifest.ops", SECTION, "Moves and lifecycle have ops of C and _C only, and no ops is empty.", |f| {
        broken(
            f,
            &[
                (
                    r#"{"event":"Pause","operator":"owner","ops":["C"]"#,
                    r#"{"event":"Pause","operator":"owner","ops":["D"]"#,
                    "RBAC.lifecycle[0].ops",
                ),
                (
                    r#"{"event":"Pause","operator":"owner","ops":["C"]"#,
                    r#"{"event":"Pause","operator":"owner","ops":[]"#,
                    "RBAC.lifecycle[0].ops",
                ),
            ],
        )
    }),
    check(
        "manifest.own-id",
        "enc.md 3",
        "A Manifest whose enclave is not the derived id is invalid_manifest, path enclave.",
        |f| {
            let people = f.people();
            let content = f.content(&people, CALM)?;
            let draft = Draft::manifest(&people.alice, &content, f.nonce(), now() + 60_000);
            let stolen = Draft { enclave: EnclaveId(f.bytes("another id")), ..draft.clone() }.sign(&people.alice);
            let body = f.refuse(&submitting(stolen.commit()), Code::InvalidManifest)?;
            equal("path", text(&body, "path")?, "enclave")?;
            f.submit(draft.sign(&people.alice).commit()).map(drop)
        },
    ),
    check(
        "manifest.sequencer",
        "enc.md 3",
        "A Manifest that names another node's key is invalid_manifest, path sequencer.",
        |f| {
            let people = f.people();
            let content = f.content(&people, CALM)?.to_jcs().replace(&f.sequencer()?.hex(), &key(9).public().hex());
            let draft = Draft::manifest(&people.alice, &json(&content), f.nonce(), now() + 60_000);
            let body = f.refuse(&submitting(draft.sign(&people.alice).commit()), Code::InvalidManifest)?;
            equal("path", text(&body, "path")?, "sequencer")?;
            f.hall().map(drop)
        },
    ),
    check("manifest.signer-is-in-init", SECTION, "The signer of a Manifest is in init.", |f| {
        let people = f.people();
        let content = f.content(&people, CALM)?;
        let draft = Draft::manifest(&people.stranger, &content, f.nonce(), now() + 60_000);
        f.refuse(&submitting(draft.sign(&people.stranger).commit()), Code::InvalidManifest)?;
        let draft = Draft::manifest(&people.alice, &content, f.nonce(), now() + 60_000);
        f.submit(draft.sign(&people.alice).commit()).map(drop)
    }),
];
