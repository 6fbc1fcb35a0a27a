//! One subscription's task: it opens, then reads on whenever its enclave has changed, until something ends it.

use crate::host::{Host, Peer, refusal_code};
use crate::reader::Unread;
use crate::tally::Held;
use crate::watch::Watch;
use protocol::{Code, EnclaveId, PublicKey};
use service::Call;
use service::call::{Action, Claim};
use service::live::{self, Advance, Subscription, closed_frame};
use service::runtime::Fault;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// What a subscription begins from.
pub struct Opening {
    /// The node.
    pub host: Arc<Host>,
    /// Who asks.
    pub peer: Peer,
    /// The client's name for it.
    pub sub_id: String,
    /// Which of that name.
    pub generation: u64,
    /// Bytes of the request.
    pub len: usize,
}

/// What a subscription has to say at once.
pub struct Turn {
    /// Whose.
    pub sub_id: String,
    /// Which of that name.
    pub generation: u64,
    /// Frames, in order.
    pub frames: Vec<String>,
    /// The subscription is over.
    pub last: bool,
}

/// Runs a subscription to its end. The task is aborted when the client closes it.
pub async fn run(opening: Opening, call: Call, turns: Sender<Turn>) {
    let (subscription, watch, held) = match opening.open(call).await {
        Ok(opened) => opened,
        Err(code) => {
            opening.host.metrics.refused(code);
            let frames = vec![closed_frame(&opening.sub_id, code.as_str())];
            opening.hand_over(&turns, frames, true).await;
            return;
        }
    };
    opening.follow(subscription, watch, &turns).await;
    drop(held);
    opening.host.metrics.subscriptions(opening.host.subscriptions.sum());
}

impl Opening {
    async fn open(&self, call: Call) -> Result<(Subscription, Watch, Option<Held<PublicKey>>), Code> {
        let admitted = self.host.admit_subscription(&self.peer, &call, self.len).await;
        admitted.map_err(|refusal| refusal_code(&refusal).unwrap_or(Code::Unauthorized))?;
        let enclave = call.enclave.ok_or(Code::InvalidStructure)?;
        // Listening begins first: what is written between the first read and the waiting is heard of.
        let watch = self.host.engine.watches().listen(&enclave);
        let subscription = self
            .read(&enclave, move |rt, cache, facts| live::open(rt, cache, facts, &call))
            .await
            .map_err(|unread| unread.rejection().code)?
            .map_err(|rejection| rejection.code)?;
        let held = match subscription.from() {
            Some(from) => Some(self.host.subscriptions.take(from).ok_or(Code::LimitExceeded)?),
            None => None,
        };
        self.host.metrics.subscriptions(self.host.subscriptions.sum());
        Ok((subscription, watch, held))
    }

    async fn follow(&self, mut subscription: Subscription, mut watch: Watch, turns: &Sender<Turn>) {
        loop {
            let advance = match self.advance(&mut subscription).await {
                Ok(advance) => advance,
                Err(unread) => {
                    let reason = unread.rejection().code.as_str();
                    self.hand_over(turns, vec![closed_frame(&self.sub_id, reason)], true).await;
                    return;
                }
            };
            let last = advance.closed.is_some();
            if (last || !advance.frames.is_empty()) && !self.hand_over(turns, advance.frames, last).await {
                return;
            }
            if last {
                return;
            }
            if !advance.more {
                self.wait(&subscription, &mut watch).await;
            }
        }
    }

    async fn advance(&self, subscription: &mut Subscription) -> Result<Advance, Unread> {
        let enclave = *subscription.enclave();
        let kept = subscription.clone();
        let sub_id: Arc<str> = Arc::from(self.sub_id.as_str());
        let (after, advance) = self
            .read(&enclave, move |rt, cache, facts| {
                // A turn that fails half-way must not have moved on.
                let mut subscription = kept.clone();
                let advance = live::advance(rt, cache, facts, &mut subscription, &sub_id)?;
                Ok((subscription, advance))
            })
            .await?;
        *subscription = after;
        Ok(advance)
    }

    /// Until the enclave changes or the session ends.
    async fn wait(&self, subscription: &Subscription, watch: &mut Watch) {
        if subscription.ends_at() == u64::MAX {
            return watch.changed().await;
        }
        let left = subscription.ends_at().saturating_sub(self.host.clock.now()).saturating_add(1);
        tokio::select! {
            () = watch.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(left)) => {}
        }
    }

    /// Reads; where a due bundle has to be closed first, has the writer do that, by asking it for the STH.
    async fn read<T, F>(&self, enclave: &EnclaveId, work: F) -> Result<T, Unread>
    where
        T: Send + 'static,
        F: Fn(&dyn service::Runtime, &mut service::cache::Cache, &service::runtime::NodeFacts) -> Result<T, Fault>
            + Clone
            + Send
            + 'static,
    {
        loop {
            match self.host.engine.on_reader(Some(enclave), work.clone()).await {
                // On a node that gets little time the next bundle may be due before the read comes to its turn: each time round
                // waits for the writer, which has closed one bundle then.
                Err(Unread::Fault(Fault::ReadOnly)) => {
                    let ask = Call { enclave: Some(*enclave), claim: Claim::Stranger, action: Action::Sth };
                    let response = self.host.engine.call(ask, 0).await;
                    match refusal_code(&response) {
                        None => tracing::trace!("a due bundle was closed for a subscription"),
                        Some(Code::Overloaded) => return Err(Unread::Busy),
                        Some(_) => return Err(Unread::Fault(Fault::ReadOnly)),
                    }
                }
                other => return other,
            }
        }
    }

    async fn hand_over(&self, turns: &Sender<Turn>, frames: Vec<String>, last: bool) -> bool {
        let turn = Turn { sub_id: self.sub_id.clone(), generation: self.generation, frames, last };
        turns.send(turn).await.is_ok()
    }
}
