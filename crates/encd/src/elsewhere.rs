//! Who else may know more of a log than this folder: the witnesses that it is shown to, and mirrors that the operator names.

use crate::config::Config;
use crate::outbound::client::Client;
use crate::stop::{Exit, StartError};
use crate::witnesses::Witnesses;
use crate::witnesses::ask::Shown;
use protocol::EnclaveId;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Asks them, one log at a time.
pub struct Elsewhere {
    witnesses: Option<Arc<Witnesses>>,
    mirrors: Vec<String>,
    client: Client,
    runtime: Runtime,
}

impl Elsewhere {
    /// The configured witnesses, and nodes by their URLs that may serve a copy.
    ///
    /// # Errors
    /// The policy of the witnesses cannot be used.
    pub fn new(config: &Config, mirrors: Vec<String>) -> Result<Elsewhere, StartError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| StartError::new(Exit::Config, format!("no runtime ({error})")))?;
        let timeout = Duration::from_millis(config.witnesses.timeout_ms);
        let client = Client::for_operator(&config.outbound, timeout);
        Ok(Elsewhere { witnesses: Witnesses::from_config(config)?, mirrors, client, runtime })
    }

    /// Why a log may not go on from here, if somebody knows more of it or does not say. Without a checkpoint its size is 0.
    pub fn object(&self, enclave: &EnclaveId, shown: Option<&Shown>) -> Option<String> {
        self.runtime.block_on(async {
            if let (Some(witnesses), Some(shown)) = (&self.witnesses, shown)
                && witnesses.see(enclave)
            {
                let remembered = witnesses.remember(shown).await;
                if let Some((witness, size)) = remembered.larger {
                    return Some(larger(&format!("the witness {witness}"), size, shown.checkpoint.size));
                }
                if let Some(silent) = remembered.silent.first() {
                    return Some(format!("the witness {silent} does not say what it has seen; {UNASKED}"));
                }
            }
            let own = shown.map_or(0, |shown| shown.checkpoint.size);
            for mirror in &self.mirrors {
                match self.size_at(mirror, enclave).await {
                    Ok(size) if size > own => return Some(larger(mirror, size, own)),
                    Ok(_) => {}
                    Err(why) => return Some(format!("{mirror} {why}; {UNASKED}")),
                }
            }
            None
        })
    }

    /// The size of the log that a mirror serves; 0 if it has none. Its signature is not looked at: whoever is asked may object.
    async fn size_at(&self, mirror: &str, enclave: &EnclaveId) -> Result<u64, String> {
        let url = format!("{}/enclaves/{}/checkpoint", mirror.trim_end_matches('/'), enclave.hex());
        match self.client.get(&url).await {
            Ok((200, body)) => {
                let shown = Shown::parse(&body).ok_or("answers with something that is no checkpoint")?;
                Ok(shown.checkpoint.size)
            }
            Ok((404, _)) => Ok(0),
            Ok((status, _)) => Err(format!("answers {status}")),
            Err(why) => Err(format!("does not answer ({why:?})")),
        }
    }
}

const UNASKED: &str = "ask again later, or, if it is gone for good, say --without-asking";

fn larger(who: &str, size: u64, own: u64) -> String {
    format!("{who} has seen a tree of {size}, and this copy has {own}: there is a newer one, put that back")
}
