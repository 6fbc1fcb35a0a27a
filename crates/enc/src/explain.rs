//! `explain`: what an error code means, why it comes, what to do.

use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use protocol::{Code, Json};

/// Say what an error code means and what to do.
#[derive(Args)]
#[command(after_help = "Example: enc explain rank_too_low. Without a code it lists them all.")]
pub struct Explain {
    /// The code
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

/// Runs it.
pub fn run(explain: &Explain, out: Output) -> Result<(), Failure> {
    let Some(text) = &explain.code else {
        return Code::ALL.iter().try_for_each(|code| {
            let members = [("code", Json::from(code.as_str())), ("message", Json::from(code.message()))];
            out.both(format!("{:<22} {}", code.as_str(), code.message()), &Json::object(members))
        });
    };
    let code = Code::parse(text).ok_or_else(|| {
        Failure::Usage(format!("there is no code {text:?}"), "`enc explain` without a code lists them all.")
    })?;
    out.line(format!("{} (HTTP {})", code.as_str(), code.status()))?;
    out.line(code.message())?;
    out.line("")?;
    out.line(background(code))?;
    out.json(&Json::object([
        ("background", Json::from(background(code))),
        ("code", Json::from(code.as_str())),
        ("message", Json::from(code.message())),
        ("status", Json::from(u64::from(code.status()))),
    ]))
}

/// When a code comes, and what usually stands behind it.
fn background(code: Code) -> &'static str {
    match code {
        Code::InvalidJson => {
            "The text is no JSON (RFC 8259) in UTF-8, or begins with a byte order mark. Shell quoting is the usual cause: put JSON in single quotes."
        }
        Code::InvalidRoute => {
            "The path or its method is not served. Ids in paths are 64 lower-case hex digits; an upper-case digit makes it another path."
        }
        Code::InvalidStructure => {
            "Step 1. JSON, but a member is missing, unknown or of the wrong form; `field` names it where one can be named. Also: a number that is no whole one within 2^53, a member twice, hex in upper case, more than 256 tags, nesting beyond 56."
        }
        Code::InvalidHash => {
            "Step 3. The hash was computed over other bytes. Content is hashed in its canonical form (RFC 8785), a string with its quotes; tags and exp are hashed too."
        }
        Code::InvalidSignature => {
            "Step 4. The signature is not by `from` over the hash (BIP-340, the 32 bytes as they stand), or `from` is no key at all."
        }
        Code::Expired => {
            "Step 2. `exp` lies more than a minute before the node's time, which `time` tells. Compare the clocks; commits live for a minute unless --exp says otherwise. In a sealed request: its `time` is more than a minute off."
        }
        Code::ExpTooFar => {
            "Step 2. `exp` lies more than an hour ahead of the node's time, which `time` tells. Compare the clocks."
        }
        Code::Duplicate => {
            "Step 5. The same commit was sequenced before. `receipt` is the first one's, and as good. To say the same again, sign again: another `exp` makes another commit."
        }
        Code::Unauthorized => {
            "Step 7, or reading. No column of the manifest that matches the identity permits this; without a session only Public matches. `enc enclave show` says your roles, `enc commit --dry-run` which step refuses."
        }
        Code::InvalidSession => {
            "The token is malformed, by another identity, for another node's key, or would last over two hours. Sessions are made for the sequencer's key of the verified Manifest; after a Migrate for the next one."
        }
        Code::SessionExpired => {
            "The token was right and is over. The SDK and `enc watch` renew by themselves; `enc session` makes another."
        }
        Code::EnclaveNotFound => {
            "The node does not hold this id, or it is provisioned and its owner's Manifest has not come yet."
        }
        Code::EnclaveExists => {
            "A Manifest or a key for this id is here already. Equal manifests by one key are one enclave: `enc enclave create` makes a nonce tag so that they differ."
        }
        Code::EnclavePaused => {
            "Step 6. Somebody with the right to has paused the enclave; only Resume, Terminate and Migrate are taken. Reading goes on."
        }
        Code::EnclaveTerminated => {
            "Step 6. Somebody with the right to has ended the enclave. Nothing is taken any more; reading and proofs go on."
        }
        Code::EnclaveMigrated => {
            "Step 6. The owner has moved the enclave; `new_sequencer` is the key that goes on with it. Believe it only when the log's Migrate says so too: `enc query --type Migrate`."
        }
        Code::ReadOnly => {
            "Step 6. This node holds a copy: it was restored from a snapshot that does not end in a Migrate to this node, or the Migrate was taken up elsewhere."
        }
        Code::InvalidManifest => {
            "Step 7. `path` names the place, like RBAC.moves[2].to. `enclave`: the id is not the Manifest's; `sequencer`: it names another node's key. `enc manifest lint FILE` finds faults before signing."
        }
        Code::RankTooLow => {
            "Step 8. Rank decides who may act on whom: the least number among the traits held, restrictive ones aside; State OWNER counts as 0. The target must rank below the author, and so must a trait that is granted or revoked. Nobody drops a restrictive trait of their own."
        }
        Code::GateClosed => {
            "Step 8. The rule has a gate, and it is closed: gates start so unless the manifest says open. One of its operators opens it: enc commit Gate '{\"alias\":\"…\",\"open\":true}'."
        }
        Code::BadState => {
            "Step 8. The state is another than the rule asks: a Move from another State, a trait held or absent already, a gate as it is, a deleted event, the last owner. For a Migrate `prev_seq`, `ct_root`, `prev` say what it must name. Of a push endpoint: it did not answer the challenge."
        }
        Code::NotFound => {
            "Nothing of that id, key, alias or index; or an event that this identity may not read, which looks the same on purpose."
        }
        Code::NotBundled => {
            "The event's bundle is still open, or no bundle has closed yet. It closes when full, after the manifest's timeout (5 s unless it says otherwise), or by an owner's close-bundle."
        }
        Code::TooLarge => {
            "`limit` says how many bytes are taken: 1 MiB for a commit and for JSON bodies unless the node is configured otherwise. Put large things elsewhere and commit their hash."
        }
        Code::UnsupportedMediaType => {
            "JSON bodies need Content-Type application/json, lines application/x-ndjson, snapshots application/octet-stream."
        }
        Code::LimitExceeded => {
            "`limit` says how many are allowed: 1000 events a page, 256 values of a filter, 64 subscriptions, 4 push endpoints, or a quota of this node."
        }
        Code::RateLimited => "Too many requests by this address or key. Retry-After says how many seconds to wait.",
        Code::Overloaded => {
            "The node's queue is full or its disk nearly so, and nothing was stored. Retry-After says how many seconds to wait; then send the same commit again."
        }
        Code::ClockBehind => {
            "The enclave's last event is more than a minute ahead of the node's clock, so that any new timestamp would be false. The operator must mend the clock."
        }
        Code::RolledBack => {
            "The node's database is older than what it has signed: a backup was put back. Writing on would sign a second history. The operator must decide; reading goes on."
        }
        Code::Internal => {
            "The node has failed at this request and stored nothing of it. If it was a commit, sending the same one again is safe."
        }
    }
}
