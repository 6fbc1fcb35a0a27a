//! The Runtime of the world: SQLite for the rows, notes of everything else.

use super::{Ask, World};
use protocol::schnorr::KeyPair;
use protocol::{EnclaveId, PublicKey, Signature};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, ToSql};
use service::Response;
use service::runtime::{Fault, Fetch, RequestLine, Row, Runtime, Value};
use std::cell::RefCell;
use std::rc::Rc;
use tlog::note::{KeyName, Note};
use tlog::signer::NoteSigner;

/// Whether a job may change rows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Access {
    Write,
    Read,
}

/// One running job.
pub struct Host<'a> {
    pub world: &'a World,
    pub access: Access,
    /// The request that runs, on a host that leaves all of it to the service, and what it was answered.
    pub request: Option<(&'a Ask, RefCell<Vec<Response>>)>,
}

struct SqlRow<'a, 'b>(&'a rusqlite::Row<'b>);

impl Row for SqlRow<'_, '_> {
    fn value(&self, column: usize) -> Value<'_> {
        match self.0.get_ref(column).expect("a column that the statement has") {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Int(number),
            ValueRef::Text(bytes) => Value::Text(std::str::from_utf8(bytes).expect("written as text")),
            ValueRef::Blob(bytes) => Value::Blob(bytes),
            ValueRef::Real(number) => panic!("no number of ours: {number}"),
        }
    }
}

struct Param<'a>(&'a Value<'a>);

impl ToSql for Param<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

fn fault(error: &rusqlite::Error, sql: &str) -> Fault {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) => Fault::ReadOnly,
        _ => panic!("{error} in {sql}"),
    }
}

impl Host<'_> {
    /// Notes the statement; keeps what every host keeps of parameters.
    fn note(&self, sql: &'static str, params: &[Value<'_>]) -> Result<(), Fault> {
        for param in params {
            match param {
                Value::Int(number) => assert!(number.unsigned_abs() <= protocol::MAX_INTEGER, "{number} in {sql}"),
                Value::Text(text) => assert!(text.len() <= 1 << 20, "a long text in {sql}"),
                Value::Blob(bytes) => assert!(bytes.len() <= 1 << 20, "a long blob in {sql}"),
                Value::Null => {}
            }
        }
        let mut statements = self.world.statements.borrow_mut();
        let most = statements.entry(sql).or_default();
        *most = params.len().max(*most);
        match self.world.fail_after.get() {
            0 => Ok(()),
            1 => {
                self.world.fail_after.set(0);
                Err(Fault::Storage)
            }
            left => {
                self.world.fail_after.set(left - 1);
                Ok(())
            }
        }
    }

    fn key(&self, key: &PublicKey, enclave: &EnclaveId) -> Result<Rc<KeyPair>, Fault> {
        if self.access == Access::Read {
            return Err(Fault::ReadOnly);
        }
        let keys = self.world.keys.borrow();
        let held = keys.iter().find(|(held, only)| held.public() == *key && only.is_none_or(|only| only == *enclave));
        held.map(|(held, _)| Rc::clone(held)).ok_or(Fault::Key)
    }
}

impl Runtime for Host<'_> {
    fn sql_exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Fault> {
        self.note(sql, params)?;
        let mut statement = self.world.db.prepare_cached(sql).unwrap_or_else(|error| panic!("{error} in {sql}"));
        for (place, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, Param(value)).unwrap_or_else(|error| panic!("{error} in {sql}"));
        }
        let changed = statement.raw_execute().map_err(|error| fault(&error, sql))?;
        if let [_, Value::Text("checkpoint"), Value::Blob(note)] = params {
            let note = String::from_utf8(note.to_vec()).expect("a note is text");
            self.world.checkpoints.borrow_mut().push(note);
        }
        Ok(changed as u64)
    }

    fn sql_query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        row: &mut dyn FnMut(&dyn Row) -> bool,
    ) -> Result<(), Fault> {
        self.note(sql, params)?;
        let mut statement = self.world.db.prepare_cached(sql).unwrap_or_else(|error| panic!("{error} in {sql}"));
        for (place, value) in params.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, Param(value)).unwrap_or_else(|error| panic!("{error} in {sql}"));
        }
        let mut rows = statement.raw_query();
        while let Some(found) = rows.next().map_err(|error| fault(&error, sql))? {
            if !row(&SqlRow(found)) {
                break;
            }
        }
        Ok(())
    }

    fn respond(&self, response: Response) {
        let (_, responses) = self.request.as_ref().expect("calls are answered by their outcome");
        responses.borrow_mut().push(response);
    }

    fn get_body(&self) -> Vec<u8> {
        self.request.as_ref().expect("calls bring their body along").0.body.clone()
    }

    fn get_path(&self) -> RequestLine {
        self.request.as_ref().expect("calls are resolved before they run").0.line.clone()
    }

    fn accept_ws(&self) {
        unreachable!("sockets are the host's");
    }

    fn send_ws(&self, _socket: u64, _frame: &str) {
        unreachable!("sockets are the host's");
    }

    fn now(&self) -> u64 {
        self.world.now.get()
    }

    fn set_alarm(&self, enclave: &EnclaveId, at: u64) {
        assert!(self.access == Access::Write, "an alarm set while reading");
        let mut alarms = self.world.alarms.borrow_mut();
        let earliest = alarms.get(enclave).map_or(at, |earlier| at.min(*earlier));
        alarms.insert(*enclave, earliest);
    }

    fn fetch(&self, request: Fetch) {
        assert!(self.access == Access::Write, "a fetch while reading");
        self.world.fetches.borrow_mut().push(request);
    }

    fn host_sign_seq(&self, key: &PublicKey, enclave: &EnclaveId, hash: &[u8; 32]) -> Result<Signature, Fault> {
        let signature = self.key(key, enclave)?.sign(hash);
        self.world.signed.borrow_mut().push((*hash, signature.hex()));
        Ok(signature)
    }

    fn host_sign_log(&self, key: &PublicKey, enclave: &EnclaveId, text: &str) -> Result<([u8; 32], [u8; 64]), Fault> {
        let seed = protocol::head::log_key(&*self.key(key, enclave)?, enclave).to_bytes();
        let name = KeyName::parse(&protocol::head::checkpoint_origin(enclave)).expect("a name");
        let signer = NoteSigner::from_seed(name, &seed).expect("a key");
        let line = signer.sign(&Note::new(text).expect("a note's text"));
        Ok((*signer.vkey().key(), line.signature().try_into().expect("64 bytes")))
    }

    fn host_mac(&self, name: &'static str, bytes: &[u8]) -> [u8; 32] {
        protocol::cbor::sha256(&[name.as_bytes(), b"/", bytes].concat())
    }

    fn host_random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            let drawn = self.world.random.get();
            self.world.random.set(drawn + 1);
            *byte = protocol::cbor::sha256(&drawn.to_be_bytes())[0];
        }
    }
}
