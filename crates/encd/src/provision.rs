//! `init-with-priv`: a sequencer key for one enclave comes in, and is on the disk before its row says so.

use crate::admin::bearer;
use crate::host::{Host, Peer};
use crate::keys::Provision as Kept;
use crate::trouble::Trouble;
use axum::http::HeaderMap;
use protocol::schnorr::KeyPair;
use protocol::{Code, Rejection};
use service::Call;
use service::call::{Action, Claim, InitWithPriv, Response};
use service::resolve::Provision;
use std::io;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Takes a key in for the operator; for nobody else.
pub async fn answer(host: &Arc<Host>, peer: &Peer, headers: &HeaderMap, request: Provision) -> Response {
    let secret = Zeroizing::new(request.secret);
    let operator = host.admin.is_token(bearer(headers)) || host.admin.loopback_admin(&peer.socket, headers);
    if !operator {
        return Response::error(&Code::Unauthorized.into());
    }
    let Ok(pair) = KeyPair::from_secret(&secret) else {
        return Response::error(&protocol::fields::wrong("sequencer_priv"));
    };
    let action = Action::InitWithPriv(InitWithPriv { sequencer: pair.public(), owner: request.owner });
    let call = Call { enclave: Some(request.enclave), claim: Claim::Admin, action };
    if let Err(refusal) = host.admit(peer, &call, 0).await {
        return refusal;
    }
    // Whoever has gone away in the meantime, key and row end as one says: the work runs on without its client.
    let host = Arc::clone(host);
    let work = tokio::spawn(async move { store(&host, call, &secret).await });
    match work.await {
        Ok(Ok(response)) => response,
        Ok(Err(rejection)) => Response::error(&rejection),
        Err(_) => Response::error(&Code::Internal.into()),
    }
}

async fn store(host: &Arc<Host>, call: Call, secret: &Zeroizing<[u8; 32]>) -> Result<Response, Rejection> {
    let enclave = call.enclave.ok_or(Code::InvalidStructure)?;
    let _one_at_a_time = host.provisioning.lock().await;
    let (keys, copy) = (Arc::clone(&host.keys), secret.clone());
    let kept = on_disk(move || keys.provision(&enclave, &copy)).await?;
    if kept == Kept::Other {
        return Err(Code::EnclaveExists.into());
    }
    let response = host.engine.call(call, 0).await;
    if kept == Kept::Stored && response.status != 200 {
        let keys = Arc::clone(&host.keys);
        on_disk(move || keys.withdraw(&enclave)).await?;
    }
    Ok(response)
}

/// Runs work on files where it holds up no other request.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Rejection> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => {
            tracing::error!(%error, "a key file could not be written");
            Err(Trouble::code(&error).into())
        }
        Err(error) => {
            tracing::error!(%error, "the work on a key file has panicked");
            Err(Code::Internal.into())
        }
    }
}
