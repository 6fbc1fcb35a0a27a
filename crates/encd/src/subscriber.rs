//! One subscription's task: it opens, sends its history, then goes on from what all subscriptions of its enclave share, until something
//! ends it.

use crate::host::{Host, Peer, refusal_code};
use crate::reader::Unread;
use crate::tail::Listener;
use crate::tally::Held;
use protocol::{Code, PublicKey};
use service::Call;
use service::live::{self, Advance, Subscription, closed_frame};
use service::tail::Tail;
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
    let (subscription, listener, held) = match opening.open(call).await {
        Ok(opened) => opened,
        Err(code) => {
            opening.host.metrics.refused(code);
            let frames = vec![closed_frame(&opening.sub_id, code.as_str())];
            opening.hand_over(&turns, frames, true).await;
            return;
        }
    };
    opening.follow(subscription, listener, &turns).await;
    drop(held);
    opening.host.metrics.subscriptions(opening.host.subscriptions.sum());
}

impl Opening {
    async fn open(&self, call: Call) -> Result<(Subscription, Listener, Option<Held<PublicKey>>), Code> {
        let admitted = self.host.admit_subscription(&self.peer, &call, self.len).await;
        admitted.map_err(|refusal| refusal_code(&refusal).unwrap_or(Code::Unauthorized))?;
        let enclave = call.enclave.ok_or(Code::InvalidStructure)?;
        // Listening begins first: what is written between the first read and the waiting is heard of.
        let listener = self.host.tails.listen(&enclave);
        let subscription = self
            .host
            .tails
            .read(&enclave, move |rt, cache, facts| live::open(rt, cache, facts, &call))
            .await
            .map_err(|unread| unread.rejection().code)?
            .map_err(|rejection| rejection.code)?;
        let held = match subscription.from() {
            Some(from) => Some(self.host.subscriptions.take(from).ok_or(Code::LimitExceeded)?),
            None => None,
        };
        self.host.metrics.subscriptions(self.host.subscriptions.sum());
        Ok((subscription, listener, held))
    }

    async fn follow(&self, mut subscription: Subscription, mut listener: Listener, turns: &Sender<Turn>) {
        loop {
            let advance = match self.advance(&mut subscription, listener.tail().as_deref()).await {
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
                self.wait(&subscription, &mut listener).await;
            }
        }
    }

    /// Goes on from what was read for all, else reads.
    async fn advance(&self, subscription: &mut Subscription, tail: Option<&Tail>) -> Result<Advance, Unread> {
        let (facts, now) = (self.host.engine.facts(), self.host.clock.now());
        if let Some(advance) = tail.and_then(|tail| live::share(tail, facts, now, subscription, &self.sub_id)) {
            return Ok(advance);
        }
        let enclave = *subscription.enclave();
        let kept = subscription.clone();
        let sub_id: Arc<str> = Arc::from(self.sub_id.as_str());
        let (after, advance) = self
            .host
            .tails
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

    /// Until something was read or the session ends.
    async fn wait(&self, subscription: &Subscription, listener: &mut Listener) {
        if subscription.ends_at() == u64::MAX {
            return listener.changed().await;
        }
        let left = subscription.ends_at().saturating_sub(self.host.clock.now()).saturating_add(1);
        tokio::select! {
            () = listener.changed() => {}
            () = tokio::time::sleep(Duration::from_millis(left)) => {}
        }
    }

    async fn hand_over(&self, turns: &Sender<Turn>, frames: Vec<String>, last: bool) -> bool {
        let turn = Turn { sub_id: self.sub_id.clone(), generation: self.generation, frames, last };
        turns.send(turn).await.is_ok()
    }
}
