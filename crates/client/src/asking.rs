//! Requests that say who asks: sessions, made and renewed as needed, and the encrypted transport.

use crate::enclave::Enclave;
use crate::error::{Answer, Error, Falsehood};
use crate::identity::fill_random;
use crate::link::Reply;
use crate::place::HeldSession;
use protocol::json::{self, MAX_DEPTH};
use protocol::session::{Session, SessionToken};
use protocol::transport::{Nonce, OpenedRequest, SealedResponse, TransportKeys};
use protocol::{Json, PublicKey};
use std::sync::PoisonError;

/// How long a session is made for; a node takes at most two hours.
pub(crate) const SESSION_SECS: u64 = 3600;
/// A session with less than this left is renewed before it is used.
const RENEW_BEFORE_SECS: u64 = 300;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `POST /`: Query, Pull.
    Root,
    /// `POST …/<action>`, which the encrypted transport also carries.
    Action(&'static str),
    /// `POST …/<action>`, always in plain.
    PlainAction(&'static str),
}

impl Enclave {
    /// Sends an object with who asks, and gives the JSON of the answer. Without an identity it is a stranger's question.
    pub(crate) fn ask(&self, route: Route, members: Vec<(&str, Json)>, answer: Answer) -> Result<Json, Error> {
        self.go_on_if_known()?;
        self.at_home(|| self.ask_here(route, members.clone(), answer))
    }

    fn ask_here(&self, route: Route, mut members: Vec<(&str, Json)>, answer: Answer) -> Result<Json, Error> {
        if self.sealed && self.identity.is_some() && !matches!(route, Route::PlainAction(_)) {
            if let Route::Action(action) = route {
                members.push(("action", Json::from(action)));
            }
            return self.ask_sealed(Json::object(members), answer);
        }
        if let Some((from, token)) = self.plain_session()? {
            members.push(("from", Json::from(from.hex())));
            members.push(("session", Json::from(token)));
        }
        let path = match route {
            Route::Root => {
                members.push(("enclave", Json::from(self.id().hex())));
                "/".into()
            }
            Route::Action(action) | Route::PlainAction(action) => self.path(action),
        };
        self.node().post(&path, &Json::object(members))?.json(answer)
    }

    /// Sends a request inside the encrypted transport.
    pub(crate) fn ask_sealed(&self, request: Json, answer: Answer) -> Result<Json, Error> {
        let sequencer = self.key_here()?;
        self.exchange_sealed(self.sealing_keys(sequencer)?, request, answer)
    }

    /// The same with a session of its own, for a key that nothing has proved.
    pub(crate) fn ask_sealed_to(&self, session: &Session, key: PublicKey, request: Json) -> Result<Json, Error> {
        let from = self.identity.as_ref().ok_or(Error::NoIdentity)?.public();
        let keys = TransportKeys::for_client(session, &key, &self.id()).ok_or(Falsehood::Shape(Answer::Enclave))?;
        self.exchange_sealed((keys, from, session.encrypted), request, Answer::Events)
    }

    fn exchange_sealed(
        &self,
        (keys, from, token): (TransportKeys, PublicKey, SessionToken),
        request: Json,
        answer: Answer,
    ) -> Result<Json, Error> {
        let mut nonce = Nonce([0; 24]);
        fill_random(&mut nonce.0)?;
        let plaintext = OpenedRequest { time: self.node().now(), request }.to_plaintext();
        let sealed = keys.seal_query(&from, &token, nonce, plaintext.as_bytes());
        let reply = self.node().post("/", &sealed.to_json())?;
        let shape = || Falsehood::Shape(Answer::Envelope);
        let value = json::parse(&reply.body, MAX_DEPTH).map_err(|_| shape())?;
        // Only what could not be opened is refused in the clear, and then the session is at fault.
        if value.member("ciphertext").is_none() {
            return Err(reply.refusal()?.into());
        }
        let response = SealedResponse::from_json(value).map_err(|_| shape())?;
        let body = keys.open_response(&nonce, &response).ok_or(Falsehood::Proof(Answer::Envelope))?;
        Reply { status: reply.status, retry_after_secs: reply.retry_after_secs, body }.json(answer)
    }

    /// The two headers of a GET; none for a stranger.
    pub(crate) fn session_headers(&self) -> Result<Vec<(&'static str, String)>, Error> {
        let session = self.plain_session()?;
        Ok(session.map_or(Vec::new(), |(from, token)| vec![("X-Enc-From", from.hex()), ("X-Enc-Session", token)]))
    }

    /// Who asks, and the token of a plain request; none for a stranger.
    pub(crate) fn plain_session(&self) -> Result<Option<(PublicKey, String)>, Error> {
        match &self.identity {
            None => Ok(None),
            Some(identity) => Ok(Some((identity.public(), self.with_session(|session| session.plain.hex())?))),
        }
    }

    /// When the session in use ends, in seconds since the epoch.
    pub(crate) fn session_ends_secs(&self) -> Result<u64, Error> {
        self.with_session(|session| u64::from(session.plain.expires_secs()))
    }

    /// Who asks, a plain session token, and when it ends in seconds since the epoch: a bearer token, for other tools.
    ///
    /// # Errors
    /// [`Error::NoIdentity`].
    pub fn session_token(&self) -> Result<(PublicKey, String, u64), Error> {
        let (from, token) = self.plain_session()?.ok_or(Error::NoIdentity)?;
        Ok((from, token, self.session_ends_secs()?))
    }

    /// Forgets the session, so that the next request makes one.
    pub fn renew_session(&self) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn sealing_keys(&self, sequencer: PublicKey) -> Result<(TransportKeys, PublicKey, SessionToken), Error> {
        let from = self.identity.as_ref().ok_or(Error::NoIdentity)?.public();
        let id = self.id();
        let made = self.with_session(|session| {
            TransportKeys::for_client(session, &sequencer, &id).map(|keys| (keys, session.encrypted))
        })?;
        let (keys, token) = made.ok_or(Falsehood::OtherManifest)?;
        Ok((keys, from, token))
    }

    /// The session for the key of the node that is asked, made again when it nears its end.
    fn with_session<T>(&self, take: impl FnOnce(&Session) -> T) -> Result<T, Error> {
        let identity = self.identity.as_ref().ok_or(Error::NoIdentity)?;
        let sequencer = self.key_here()?;
        let now_secs = self.node().now() / 1000;
        let mut held = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = held.as_ref().filter(|held| {
            let ends = u64::from(held.session.plain.expires_secs());
            held.sequencer == sequencer && ends > now_secs + RENEW_BEFORE_SECS && ends <= now_secs + SESSION_SECS
        });
        if let Some(held) = usable {
            return Ok(take(&held.session));
        }
        let expires_secs = u32::try_from(now_secs + SESSION_SECS).unwrap_or(u32::MAX);
        let session = Session::make(identity.key(), &sequencer, expires_secs);
        let taken = take(&session);
        *held = Some(HeldSession { sequencer, session });
        Ok(taken)
    }
}
