//! `commit --dry-run`: which of the fourteen steps would refuse, judged here by the kernel on what can be proved of the state.

use crate::failure::Failure;
use crate::output::Output;
use crate::remote_view::RemoteView;
use client::info::EnclaveInfo;
use client::{Enclave, Error, Identity};
use kernel::Head;
use protocol::commit::{Draft, MAX_COMMIT_LEN};
use protocol::state::Lifecycle;
use protocol::{Code, Commit, EventHash, Json, Rejection, VerifiedCommit};
use std::process::ExitCode;

/// The pipeline's steps in order; "enclave" stands between 4 and 5.
const STEPS: [&str; 14] = [
    "structure",
    "expiry",
    "hash",
    "signature",
    "dedup",
    "lifecycle",
    "roles",
    "access logic",
    "finalize",
    "state",
    "bundle",
    "persist",
    "broadcast",
    "push",
];

/// What came of the judged steps.
enum Verdict {
    /// None refuses.
    Passes,
    /// This one does, counted from 1.
    Refuses(usize, Rejection),
    /// From this one on the node alone can tell.
    Unknown(usize, Error),
}

/// Runs it.
pub fn run(enclave: &Enclave, draft: Draft, identity: &Identity, out: Output) -> Result<ExitCode, Failure> {
    let commit = draft.sign(identity.key());
    let view = RemoteView::new(enclave);
    let verdict = judge(enclave, &view, commit)?;
    let (refusing, unknown) = match &verdict {
        Verdict::Passes => (None, 15),
        Verdict::Refuses(step, rejection) => (Some((*step, rejection)), *step),
        Verdict::Unknown(step, _) => (None, *step),
    };
    for (step, name) in (1..).zip(STEPS) {
        let word = match refusing {
            Some((at, rejection)) if step == at => format!("refuses: {}", rejection.code.as_str()),
            Some((at, _)) if step > at => continue,
            _ if step >= unknown => "only the node can tell".into(),
            _ if step > 8 => "follows".into(),
            _ => "passes".into(),
        };
        out.line(format!("{step:>2}  {name:<13} {word}"))?;
    }
    let state = match (view.as_of.get(), view.hidden.get()) {
        (_, true) => {
            "as the Manifest begins: you may not read the present one, and the node may judge otherwise".into()
        }
        (None, false) => String::from("as the Manifest begins: no bundle has closed yet"),
        (Some(bundle), false) => format!("after bundle {bundle}, without the events of the open bundle"),
    };
    out.line(format!("judged on the state {state}"))?;
    match verdict {
        Verdict::Passes => {
            out.line("nothing was sent; it would be sequenced")?;
            out.json(&Json::object([("ok", Json::Bool(true))]))?;
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Refuses(step, rejection) => {
            out.line(rejection.code.message())?;
            out.line(format!("nothing was sent; `enc explain {}` says more", rejection.code.as_str()))?;
            let members =
                [("ok", Json::Bool(false)), ("refusal", rejection.to_json(None)), ("step", Json::from(step as u64))];
            out.json(&Json::object(members))?;
            Ok(ExitCode::from(3))
        }
        Verdict::Unknown(step, error) => {
            out.line(format!("nothing was sent; from step {step} on the state is needed: {error}"))?;
            let members =
                [("ok", Json::Null), ("step", Json::from(step as u64)), ("why", Json::from(error.to_string()))];
            out.json(&Json::object(members))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn judge(enclave: &Enclave, view: &RemoteView<'_>, commit: VerifiedCommit) -> Result<Verdict, Failure> {
    let text = commit.commit().to_json().to_jcs();
    if text.len() > MAX_COMMIT_LEN {
        return Ok(Verdict::Refuses(1, Code::TooLarge.into()));
    }
    if let Err(rejection) = Commit::parse(text.as_bytes()) {
        return Ok(Verdict::Refuses(1, rejection));
    }
    let now = enclave.node().info()?.time;
    if let Err(rejection) = kernel::expiry(now, commit.commit().exp) {
        return Ok(Verdict::Refuses(2, rejection));
    }
    let info = enclave.info()?;
    let pin = enclave.pin();
    let head = head_of(enclave, &info, now);
    let is_node_key = |key: &protocol::PublicKey| pin.sequencers().contains(key);
    let place = kernel::Enclave { manifest: pin.manifest(), head: &head, is_node_key: &is_node_key };
    Ok(match kernel::sequence(&place, view, &commit, now) {
        Ok(Ok(_)) => Verdict::Passes,
        Ok(Err(rejection)) => Verdict::Refuses(step_of(rejection.code), rejection),
        Err(error @ Error::Refused(_)) => Verdict::Unknown(7, error),
        Err(error) => return Err(error.into()),
    })
}

/// The head as far as the node says; owners are taken to be several, since their number is not provable.
fn head_of(enclave: &Enclave, info: &EnclaveInfo, now: u64) -> Head {
    let lifecycle = [Lifecycle::Active, Lifecycle::Paused, Lifecycle::Terminated, Lifecycle::Migrated]
        .into_iter()
        .find(|lifecycle| lifecycle.as_str() == info.status)
        .unwrap_or(Lifecycle::Active);
    let last_seq = info.inside.as_ref().map_or(0, |inside| inside.last_seq);
    Head {
        enclave: enclave.id(),
        bound: info.bound,
        sequencer: enclave.sequencer(),
        live: info.live,
        next_seq: last_seq + 1,
        last_timestamp: now,
        prev: EventHash([0; 32]),
        lifecycle,
        migrated_to: (lifecycle == Lifecycle::Migrated).then_some(info.sequencer),
        owners: u64::MAX,
        tree_size: info.tree_size,
        root: merkle::EMPTY,
        open: None,
    }
}

fn step_of(code: Code) -> usize {
    let lifecycle = [Code::EnclaveTerminated, Code::EnclaveMigrated, Code::EnclavePaused, Code::ReadOnly];
    if code == Code::Duplicate {
        5
    } else if lifecycle.contains(&code) {
        6
    } else if code == Code::Unauthorized {
        7
    } else {
        8
    }
}
