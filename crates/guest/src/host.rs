//! The imports: the Runtime's ten I/O methods and four capabilities, nothing else.

use crate::{Bytes, wire};
use alloc::boxed::Box;
use alloc::vec::Vec;
use protocol::{EnclaveId, Json, PublicKey, Signature};
use service::Response;
use service::runtime::{Fault, Fetch, RequestLine, Row, Runtime, Value};

#[link(wasm_import_module = "enc")]
unsafe extern "C" {
    fn sql_exec(sql: *const u8, sql_len: u32, params: *const u8, params_len: u32) -> i64;
    fn sql_query(sql: *const u8, sql_len: u32, params: *const u8, params_len: u32) -> i64;
    fn respond(response: *const u8, len: u32);
    fn get_body() -> u64;
    fn get_path() -> u64;
    fn accept_ws();
    fn send_ws(socket: u64, frame: *const u8, len: u32);
    fn now() -> u64;
    fn set_alarm(enclave: *const u8, at: u64);
    fn fetch(request: *const u8, len: u32);
    fn host_sign_seq(key: *const u8, enclave: *const u8, hash: *const u8, signature: *mut u8) -> i32;
    fn host_sign_log(key: *const u8, enclave: *const u8, text: *const u8, len: u32, out: *mut u8) -> i32;
    fn host_mac(name: *const u8, name_len: u32, bytes: *const u8, len: u32, mac: *mut u8);
    fn host_random(bytes: *mut u8, len: u32);
}

/// Takes over bytes that the host has written into reserved memory.
pub fn take(packed: u64) -> Bytes {
    let (pointer, len) = ((packed >> 32) as usize as *mut u8, packed as u32 as usize);
    // SAFETY: the host hands back a pointer that `reserve` leaked with this length, once.
    unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(pointer, len)) }.into_vec()
}

/// A fault as a negative number.
pub fn code(fault: Fault) -> i32 {
    match fault {
        Fault::ReadOnly => -1,
        Fault::Full => -2,
        Fault::Storage => -3,
        Fault::Key => -4,
    }
}

fn fault(code: i64) -> Fault {
    match code {
        -1 => Fault::ReadOnly,
        -2 => Fault::Full,
        -4 => Fault::Key,
        _ => Fault::Storage,
    }
}

/// The host behind the imports.
pub struct Imports;

struct Values<'a>(&'a [Value<'a>]);

impl Row for Values<'_> {
    fn value(&self, column: usize) -> Value<'_> {
        self.0.get(column).copied().unwrap_or(Value::Null)
    }
}

// SAFETY of the calls below: each import reads or writes exactly the memory that its arguments name, which is alive for the call.
impl Runtime for Imports {
    fn sql_exec(&self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, Fault> {
        let params = wire::values(params);
        let changed = unsafe { sql_exec(sql.as_ptr(), sql.len() as u32, params.as_ptr(), params.len() as u32) };
        u64::try_from(changed).map_err(|_| fault(changed))
    }

    fn sql_query(
        &self,
        sql: &'static str,
        params: &[Value<'_>],
        row: &mut dyn FnMut(&dyn Row) -> bool,
    ) -> Result<(), Fault> {
        let params = wire::values(params);
        let rows = unsafe { sql_query(sql.as_ptr(), sql.len() as u32, params.as_ptr(), params.len() as u32) };
        let rows = take(u64::try_from(rows).map_err(|_| fault(rows))?);
        let mut input = wire::Input(&rows);
        let columns = input.uint().ok_or(Fault::Storage)? as usize;
        while !input.0.is_empty() {
            let mut values = Vec::with_capacity(columns);
            for _ in 0..columns {
                values.push(input.value().ok_or(Fault::Storage)?);
            }
            if !row(&Values(&values)) {
                break;
            }
        }
        Ok(())
    }

    fn respond(&self, response: Response) {
        let bytes = wire::response(&response);
        unsafe { respond(bytes.as_ptr(), bytes.len() as u32) }
    }

    fn get_body(&self) -> Vec<u8> {
        take(unsafe { get_body() })
    }

    fn get_path(&self) -> RequestLine {
        wire::request_line(&take(unsafe { get_path() }))
    }

    fn accept_ws(&self) {
        unsafe { accept_ws() }
    }

    fn send_ws(&self, socket: u64, frame: &str) {
        unsafe { send_ws(socket, frame.as_ptr(), frame.len() as u32) }
    }

    fn now(&self) -> u64 {
        unsafe { now() }
    }

    fn set_alarm(&self, enclave: &EnclaveId, at: u64) {
        unsafe { set_alarm(enclave.0.as_ptr(), at) }
    }

    fn fetch(&self, request: Fetch) {
        let text = Json::object([
            ("id", Json::from(alloc::format!("{:?}", request.id))),
            ("lane", Json::from(request.lane)),
            ("url", Json::from(request.url)),
            ("body", Json::from(request.body)),
        ])
        .to_jcs();
        unsafe { fetch(text.as_ptr(), text.len() as u32) }
    }

    fn host_sign_seq(&self, key: &PublicKey, enclave: &EnclaveId, hash: &[u8; 32]) -> Result<Signature, Fault> {
        let mut signature = [0; 64];
        let (key, enclave) = (key.0.as_ptr(), enclave.0.as_ptr());
        match unsafe { host_sign_seq(key, enclave, hash.as_ptr(), signature.as_mut_ptr()) } {
            0 => Ok(Signature(signature)),
            code => Err(fault(code.into())),
        }
    }

    fn host_sign_log(&self, key: &PublicKey, enclave: &EnclaveId, text: &str) -> Result<([u8; 32], [u8; 64]), Fault> {
        let (mut public, mut signature, mut out) = ([0; 32], [0; 64], [0; 96]);
        let (key, enclave) = (key.0.as_ptr(), enclave.0.as_ptr());
        match unsafe { host_sign_log(key, enclave, text.as_ptr(), text.len() as u32, out.as_mut_ptr()) } {
            0 => {
                public.copy_from_slice(&out[..32]);
                signature.copy_from_slice(&out[32..]);
                Ok((public, signature))
            }
            code => Err(fault(code.into())),
        }
    }

    fn host_mac(&self, name: &'static str, bytes: &[u8]) -> [u8; 32] {
        let mut mac = [0; 32];
        let (name_len, len) = (name.len() as u32, bytes.len() as u32);
        unsafe { host_mac(name.as_ptr(), name_len, bytes.as_ptr(), len, mac.as_mut_ptr()) }
        mac
    }

    fn host_random(&self, bytes: &mut [u8]) {
        unsafe { host_random(bytes.as_mut_ptr(), bytes.len() as u32) }
    }
}
