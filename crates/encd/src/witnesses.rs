//! Asking witnesses: the heads log, and single enclaves where that is configured, are shown to the witnesses of a policy file, and what
//! they sign is kept and served below the checkpoint (C2SP tlog-witness, tlog-cosignature, tlog-policy).
//!
//! A task for each log takes the newest checkpoint, asks every witness that has not cosigned it, and publishes it: with whatever lines
//! came, or, where the node fails closed, only once the policy's quorum has signed. What is still to be asked for follows from what
//! is kept, so a restart forgets nothing.

pub mod ask;
pub mod cosigned;
pub mod recall;

use crate::config::Config;
use crate::engine::EngineHandle;
use crate::heads::book::Book;
use crate::outbound::client::Client;
use crate::stop::{Exit, StartError, Stopping};
use ask::{Asking, Shown, Unsigned};
use cosigned::Cosigned;
use merkle::Hash;
use protocol::proof::ConsistencyAnswer;
use protocol::{EnclaveId, json};
use serde::{Deserialize, Serialize};
use service::call::{Action, Call, Claim};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tlog::note::SignatureLine;
use tlog::policy::Policy;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Least time between two rounds of one log.
const INTERVAL: Duration = Duration::from_secs(1);
/// First time after which a witness that has not signed is asked again; twice as long each time.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// Longest such time.
const LAST_RETRY: Duration = Duration::from_secs(300);
/// Longest time of one request.
const MAX_TIMEOUT_MS: u64 = 60_000;

/// Which witnesses are asked for what.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct WitnessesConfig {
    /// The policy file. Without it nobody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_file: Option<PathBuf>,
    /// Whether the heads log is shown to them.
    pub heads: bool,
    /// Enclaves, by id, whose own logs are shown to them too.
    pub enclaves: Vec<String>,
    /// Whether a checkpoint is published only when the quorum has signed it.
    pub fail_closed: bool,
    /// Milliseconds that a witness may take.
    pub timeout_ms: u64,
}

impl Default for WitnessesConfig {
    fn default() -> WitnessesConfig {
        WitnessesConfig { policy_file: None, heads: true, enclaves: Vec::new(), fail_closed: false, timeout_ms: 5_000 }
    }
}

impl WitnessesConfig {
    /// Whether the values make sense.
    pub fn check(&self) -> anyhow::Result<()> {
        if !(1..=MAX_TIMEOUT_MS).contains(&self.timeout_ms) {
            anyhow::bail!("witnesses.timeout_ms must be within 1 and {MAX_TIMEOUT_MS}");
        }
        if let Some(id) = self.enclaves.iter().find(|id| EnclaveId::parse(id).is_err()) {
            anyhow::bail!("witnesses.enclaves must hold ids of 64 lower-case hex digits, not {id}");
        }
        Ok(())
    }
}

/// A log that witnesses see.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Log {
    Heads,
    Enclave(EnclaveId),
}

/// What the rounds of all logs share.
pub struct Witnesses {
    policy: Policy,
    logs: Vec<Log>,
    fail_closed: bool,
    client: Client,
}

/// Where the logs and what was signed of them are.
#[derive(Clone)]
pub struct Sources {
    /// Enclaves.
    pub engine: EngineHandle,
    /// The heads log.
    pub book: Arc<Book>,
    /// What is kept and served.
    pub cosigned: Arc<Cosigned>,
}

/// When a witness is asked again.
#[derive(Clone, Copy)]
struct Pause {
    until: Instant,
    next: Duration,
}

impl Witnesses {
    /// As configured; none where no policy is.
    pub fn from_config(config: &Config) -> Result<Option<Arc<Witnesses>>, StartError> {
        let wanted = &config.witnesses;
        let Some(path) = &wanted.policy_file else { return Ok(None) };
        let unusable = |why: String| {
            StartError::new(
                Exit::Config,
                format!("the policy of the witnesses {} cannot be used: {why}", path.display()),
            )
        };
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        let policy = Policy::parse(&text).map_err(|error| unusable(error.to_string()))?;
        let enclaves = wanted.enclaves.iter().filter_map(|id| EnclaveId::parse(id).ok()).map(Log::Enclave);
        let logs = wanted.heads.then_some(Log::Heads).into_iter().chain(enclaves).collect();
        let client = Client::for_operator(&config.outbound, Duration::from_millis(wanted.timeout_ms));
        Ok(Some(Arc::new(Witnesses { policy, logs, fail_closed: wanted.fail_closed, client })))
    }

    /// Begins a task for each log.
    pub fn start(self: &Arc<Witnesses>, sources: &Sources, stopping: &Stopping) {
        for log in &self.logs {
            tokio::spawn(Arc::clone(self).keep(log.clone(), sources.clone(), stopping.clone()));
        }
    }

    async fn keep(self: Arc<Witnesses>, log: Log, sources: Sources, mut stopping: Stopping) {
        let asleep = Pause { until: Instant::now(), next: FIRST_RETRY };
        let mut pauses = vec![asleep; self.policy.witnesses().len()];
        loop {
            let next = Instant::now() + INTERVAL;
            tokio::select! {
                () = self.round(&log, &sources, &mut pauses) => {}
                () = stopping.asked() => return,
            }
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                () = stopping.asked() => return,
            }
        }
    }

    /// Shows the newest checkpoint to every witness that has not signed it and is not waited for, and publishes it.
    async fn round(self: &Arc<Witnesses>, log: &Log, sources: &Sources, pauses: &mut [Pause]) {
        let Some(shown) = log.newest(sources).await.filter(|shown| shown.checkpoint.size > 0) else { return };
        let shown = Arc::new(shown);
        let kept = sources.cosigned.lines(&shown);
        let metrics = sources.engine.metrics();
        let mut lines: Vec<SignatureLine> = Vec::new();
        let mut asked = JoinSet::new();
        for (place, witness) in self.policy.witnesses().iter().enumerate() {
            let signed = kept.iter().find(|line| witness.vkey.verify_cosignature(shown.note.text(), line).is_ok());
            match (signed, &witness.url) {
                (Some(line), _) => lines.push(line.clone()),
                (None, Some(url)) if pauses[place].until <= Instant::now() => {
                    let (parts, log, sources) = (Arc::clone(self), log.clone(), sources.clone());
                    let (shown, url) = (Arc::clone(&shown), url.clone());
                    asked.spawn(async move { (place, parts.ask(place, (&log, &sources), &shown, &url).await) });
                }
                (None, Some(_) | None) => {}
            }
        }
        while let Some(answered) = asked.join_next().await {
            let Ok((place, answer)) = answered else { continue };
            let witness = &self.policy.witnesses()[place];
            match answer {
                Ok(line) => {
                    pauses[place] = Pause { until: Instant::now(), next: FIRST_RETRY };
                    sources.cosigned.keep(&shown, &witness.vkey, &line);
                    lines.push(line);
                }
                Err(unsigned) => {
                    tracing::warn!(witness = witness.name, origin = shown.checkpoint.origin.as_str(), %unsigned, "a witness has not cosigned");
                    let pause = &mut pauses[place];
                    *pause = Pause { until: Instant::now() + pause.next, next: (pause.next * 2).min(LAST_RETRY) };
                }
            }
        }
        for witness in self.policy.witnesses().iter().filter(|witness| witness.url.is_some()) {
            let signed = lines.iter().any(|line| witness.vkey.verify_cosignature(shown.note.text(), line).is_ok());
            let size = if signed { shown.checkpoint.size } else { sources.cosigned.size_of(&shown, &witness.vkey) };
            let behind = (shown.checkpoint.size.saturating_sub(size), signed);
            metrics.witnesses().note(&witness.name, shown.checkpoint.origin.as_str(), behind);
        }
        let note = shown.with(lines);
        if !self.fail_closed || self.policy.is_met(&note) {
            sources.cosigned.publish(&shown, &note);
        }
    }

    async fn ask(
        &self,
        place: usize,
        (log, sources): (&Log, &Sources),
        shown: &Shown,
        url: &str,
    ) -> Result<SignatureLine, Unsigned> {
        let vkey = &self.policy.witnesses()[place].vkey;
        let mut asking = Asking { client: &self.client, vkey, url, old: sources.cosigned.size_of(shown, vkey) };
        loop {
            let proof = log.consistency(sources, asking.old, shown.checkpoint.size).await.ok_or(Unsigned::NoProof)?;
            if let Some(line) = asking.once(shown, proof).await? {
                return Ok(line);
            }
        }
    }
}

impl Log {
    async fn newest(&self, sources: &Sources) -> Option<Shown> {
        let note = match self {
            Log::Heads => {
                let book = Arc::clone(&sources.book);
                let head = tokio::task::spawn_blocking(move || book.head()).await.ok()?;
                head.inspect_err(|error| tracing::error!(%error, "the heads log cannot be read"))
                    .ok()??
                    .note
                    .into_bytes()
            }
            Log::Enclave(enclave) => call(sources, enclave, Action::Checkpoint).await?,
        };
        Shown::parse(&note)
    }

    /// That the newer tree begins with the older; none where it does not, because the older is the larger.
    async fn consistency(&self, sources: &Sources, from: u64, to: u64) -> Option<Vec<Hash>> {
        if from == 0 || from == to {
            return Some(Vec::new());
        }
        match self {
            Log::Heads => {
                let book = Arc::clone(&sources.book);
                let path = tokio::task::spawn_blocking(move || book.consistency(from, to)).await.ok()?;
                path.inspect_err(|error| tracing::error!(%error, "the heads log cannot be read")).ok()?
            }
            Log::Enclave(enclave) => {
                let body = call(sources, enclave, Action::Consistency { from, to }).await?;
                let value = json::parse(&body, json::MAX_DEPTH).ok()?;
                ConsistencyAnswer::from_json(value).ok().map(|answer| answer.path)
            }
        }
    }
}

/// The body of the node's own answer about an enclave, if it is one.
async fn call(sources: &Sources, enclave: &EnclaveId, action: Action) -> Option<Vec<u8>> {
    let call = Call { enclave: Some(*enclave), claim: Claim::Stranger, action };
    let response = sources.engine.call(call, 0).await;
    (response.status == 200).then_some(response.body)
}
