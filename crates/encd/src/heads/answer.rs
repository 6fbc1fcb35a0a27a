//! The heads log as it is read: `/heads/checkpoint`, `/heads/tile/…`, `/heads/proof`.

use super::book::{Book, HeadsHead};
use crate::engine::rejection_of;
use crate::witnesses::cosigned::Cosigned;
use protocol::fields::wrong;
use protocol::proof::HeadsAnswer;
use protocol::{Code, EnclaveId, Json, Rejection};
use service::Response;
use service::path::parse_query;
use service::runtime::{Fault, RequestLine};
use std::sync::Arc;
use tlog::checkpoint::Checkpoint;
use tlog::note::Note;
use tlog::tile::{FULL_WIDTH, TilePath};

/// Full tiles never change.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// What answers questions about the heads log.
#[derive(Clone)]
pub struct HeadsReader {
    /// The log.
    pub book: Arc<Book>,
    /// The checkpoints as they are published.
    pub cosigned: Arc<Cosigned>,
}

/// What is asked.
enum Question {
    Checkpoint,
    Tile(TilePath),
    Proof { enclave: EnclaveId, tree_size: Option<u64> },
}

impl HeadsReader {
    /// The answer, if the path is one of the heads log's.
    pub async fn answer(&self, line: &RequestLine) -> Option<Response> {
        let below = line.path.strip_prefix("/heads/")?;
        let question = match parse(below, line) {
            Ok(Some(question)) => question,
            Ok(None) => return None,
            Err(rejection) => return Some(Response::error(&rejection)),
        };
        if line.method != "GET" {
            let mut response = Response::error(&Code::InvalidRoute.into());
            response.status = 405;
            response.headers.push(("Allow", "GET".into()));
            return Some(response);
        }
        let reader = self.clone();
        let answered = tokio::task::spawn_blocking(move || reader.look_up(&question)).await;
        Some(match answered {
            Ok(Ok(Some(response))) => response,
            Ok(Ok(None)) => Response::error(&Code::NotFound.into()),
            Ok(Err(error)) => {
                tracing::error!(%error, "the heads log cannot be read");
                Response::error(&rejection_of(Fault::Storage))
            }
            Err(_) => Response::error(&rejection_of(Fault::Storage)),
        })
    }

    /// The head that is published, with its cosignatures: the newest, unless witnesses have to agree first.
    pub fn published(&self) -> rusqlite::Result<Option<HeadsHead>> {
        let Some(newest) = self.book.head()? else { return Ok(None) };
        let note = self.cosigned.published(&newest.note)?;
        Ok(note.and_then(|note| {
            let checkpoint = Checkpoint::parse(Note::parse(note.as_bytes()).ok()?.text()).ok()?;
            Some(HeadsHead { size: checkpoint.size, root: checkpoint.root, note })
        }))
    }

    /// A checkpoint that an enclave's log has answered, as it is published: with cosignatures, where witnesses see that log.
    pub fn publish(&self, newest: Response) -> Response {
        let Some(note) = std::str::from_utf8(&newest.body).ok().filter(|_| newest.status == 200) else { return newest };
        match self.cosigned.published(note) {
            Ok(Some(published)) => Response { body: published.into_bytes(), ..newest },
            Ok(None) => Response::error(&Code::NotFound.into()),
            Err(error) => {
                tracing::error!(%error, "kept cosignatures cannot be read");
                Response::error(&rejection_of(Fault::Storage))
            }
        }
    }

    fn look_up(&self, question: &Question) -> rusqlite::Result<Option<Response>> {
        match question {
            Question::Checkpoint => Ok(self.published()?.map(|head| checkpoint(head.note))),
            Question::Tile(path) => Ok(self.book.tile(path)?.map(|body| tile(path, body))),
            Question::Proof { enclave, tree_size } => self.proof(enclave, *tree_size),
        }
    }

    fn proof(&self, enclave: &EnclaveId, tree_size: Option<u64>) -> rusqlite::Result<Option<Response>> {
        let Some(head) = self.published()? else { return Ok(None) };
        let Some(standing) = self.book.standing(enclave, tree_size, head.size)? else { return Ok(None) };
        let answer = HeadsAnswer {
            enclave: *enclave,
            tree_size: standing.tree_size,
            root_hash: standing.root,
            leaf_index: standing.leaf_index,
            heads_size: head.size,
            audit_path: standing.audit_path,
            checkpoint: head.note,
        };
        let mut response = Response::json(200, &answer.to_json());
        response.headers.push(("Cache-Control", "no-cache".into()));
        Ok(Some(response))
    }
}

/// A note as it is served.
pub fn checkpoint(note: String) -> Response {
    Response {
        status: 200,
        headers: vec![("Cache-Control", "no-cache".into())],
        content_type: "text/plain; charset=utf-8",
        body: note.into_bytes(),
    }
}

fn tile(path: &TilePath, body: Vec<u8>) -> Response {
    let cache_control = if path.width() == FULL_WIDTH { IMMUTABLE } else { "no-cache" };
    Response {
        status: 200,
        headers: vec![("Cache-Control", cache_control.into())],
        content_type: "application/octet-stream",
        body,
    }
}

fn parse(below: &str, line: &RequestLine) -> Result<Option<Question>, Rejection> {
    match below {
        "checkpoint" => Ok(Some(Question::Checkpoint)),
        "proof" => {
            let mut fields = parse_query(&line.query)?;
            let enclave = EnclaveId::parse(&fields.text("enclave")?).map_err(|_| wrong("enclave"))?;
            let tree_size = fields.optional("tree_size").as_ref().and_then(Json::as_text).map(str::to_owned);
            let tree_size = tree_size.map(|text| number(&text).ok_or(wrong("tree_size"))).transpose()?;
            fields.finish()?;
            Ok(Some(Question::Proof { enclave, tree_size }))
        }
        path if path.starts_with("tile/") => {
            TilePath::parse(path).map(|path| Some(Question::Tile(path))).map_err(|_| Code::InvalidRoute.into())
        }
        _ => Ok(None),
    }
}

/// A number as it is written, without sign and leading zeros.
fn number(text: &str) -> Option<u64> {
    text.parse::<u64>().ok().filter(|number| number.to_string() == text && *number <= protocol::MAX_INTEGER)
}
