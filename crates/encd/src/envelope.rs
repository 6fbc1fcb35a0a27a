//! Encrypted transport: the host opens a request, has it answered like any other, and seals the answer (`docs/protocol.md`, Encrypted
//! transport). The services see a plain request whose author is proven.

use crate::host::{Host, Peer};
use protocol::session::check_encrypted;
use protocol::transport::{Nonce, SealedRequest, TransportKeys};
use protocol::{Code, Rejection};
use service::call::Response;
use service::node;
use service::resolve::resolve_opened;

/// Answers a sealed request. What fails before it opens is answered in the clear, everything else sealed.
pub async fn answer(host: &Host, peer: &Peer, sealed: &SealedRequest, len: usize) -> Response {
    let opened = async {
        let keys = keys_of(host, sealed).await?;
        let request = keys.open_query(sealed)?;
        Ok::<_, Rejection>((keys, request))
    };
    let (keys, request) = match opened.await {
        Ok(opened) => opened,
        Err(rejection) => {
            host.chain.unread(peer.address);
            host.metrics.refused(rejection.code);
            return Response::error(&rejection);
        }
    };
    let now = host.clock.now();
    let call = request.and_then(|request| host.resolving(|resolver| resolve_opened(resolver, sealed, request, now)));
    let inner = match call {
        Ok(call) => host.answer(peer, call, len).await,
        Err(rejection) => Response::error(&rejection),
    };
    let mut nonce = [0; 24];
    if getrandom::fill(&mut nonce).is_err() {
        return Response::error(&Code::Internal.into());
    }
    let answer = keys.seal_response(&sealed.nonce, Nonce(nonce), &inner.body);
    Response { headers: inner.headers, ..Response::json(inner.status, &answer.to_json()) }
}

/// The keys of this session at the enclave's sequencer, as far as the sequencer's key is here.
async fn keys_of(host: &Host, sealed: &SealedRequest) -> Result<TransportKeys, Rejection> {
    let enclave = sealed.enclave;
    let sequencer = host.engine.on_reader(Some(&enclave), move |rt, cache, _| node::sequencer(rt, cache, &enclave));
    let sequencer = sequencer.await.map_err(|unread| unread.rejection())?.ok_or(Code::EnclaveNotFound)?;
    // Of an enclave that has moved on, the present key is elsewhere.
    let pair = host.keys.key_for(&sequencer, &enclave).ok_or(Code::InvalidSession)?;
    let session = check_encrypted(&sealed.session, &sealed.from, &sequencer, host.clock.now())?;
    TransportKeys::for_node(&pair, &session, &enclave)
}
