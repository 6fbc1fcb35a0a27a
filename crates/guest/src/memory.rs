//! What crosses between module and host, on a host in the same process: each import reads and writes the memory that its arguments
//! name, under Miri (`cargo xtask sanitize`), which sees every byte too many, every pointer that is dead, and what is never freed.
//!
//! Pointers cross as 32 bits, so the target must have such.

use crate::host::{Imports, take};
use crate::{alarm, init, reserve, wire};
use alloc::string::String;
use alloc::vec::Vec;
use core::slice;
use protocol::{EnclaveId, PublicKey};
use service::Response;
use service::runtime::{Fault, Fetch, FetchId, Row, Runtime, Value};
use std::cell::RefCell;
use std::thread_local;

thread_local! {
    /// What the host was given, in order.
    static GIVEN: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

fn given(pointer: *const u8, len: u32) {
    // SAFETY: that this holds is what the tests are about.
    let bytes = unsafe { slice::from_raw_parts(pointer, len as usize) }.to_vec();
    GIVEN.with_borrow_mut(|all| all.push(bytes));
}

fn last_given() -> Vec<u8> {
    GIVEN.with_borrow_mut(|all| all.pop()).expect("the host was given something")
}

fn write(pointer: *mut u8, bytes: &[u8]) {
    // SAFETY: as above.
    unsafe { slice::from_raw_parts_mut(pointer, bytes.len()) }.copy_from_slice(bytes);
}

/// Hands bytes over as a host does: into reserved memory.
fn hand_over(bytes: &[u8]) -> u64 {
    let pointer = reserve(bytes.len() as u32);
    write(pointer, bytes);
    (pointer.expose_provenance() as u64) << 32 | bytes.len() as u64
}

/// Two columns, three rows; a statement `fails` with the number behind it.
fn rows(sql: &[u8]) -> i64 {
    if let Some(code) = sql.strip_prefix(b"fails ") {
        return -i64::from(code[0] - b'0');
    }
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for number in 0..3 {
        bytes.extend(wire::values(&[Value::Int(number), Value::Text("é")]));
    }
    hand_over(&bytes) as i64
}

#[unsafe(no_mangle)]
extern "C" fn sql_exec(sql: *const u8, sql_len: u32, params: *const u8, params_len: u32) -> i64 {
    given(params, params_len);
    given(sql, sql_len);
    1
}

#[unsafe(no_mangle)]
extern "C" fn sql_query(sql: *const u8, sql_len: u32, params: *const u8, params_len: u32) -> i64 {
    given(params, params_len);
    given(sql, sql_len);
    rows(&last_given())
}

#[unsafe(no_mangle)]
extern "C" fn respond(response: *const u8, len: u32) {
    given(response, len);
}

#[unsafe(no_mangle)]
extern "C" fn get_body() -> u64 {
    hand_over(b"")
}

#[unsafe(no_mangle)]
extern "C" fn get_path() -> u64 {
    hand_over(br#"{"method":"GET","path":"/x","query":"a=b"}"#)
}

#[unsafe(no_mangle)]
extern "C" fn accept_ws() {}

#[unsafe(no_mangle)]
extern "C" fn send_ws(_socket: u64, frame: *const u8, len: u32) {
    given(frame, len);
}

#[unsafe(no_mangle)]
extern "C" fn now() -> u64 {
    7
}

#[unsafe(no_mangle)]
extern "C" fn set_alarm(enclave: *const u8, _at: u64) {
    given(enclave, 32);
}

#[unsafe(no_mangle)]
extern "C" fn fetch(request: *const u8, len: u32) {
    given(request, len);
}

#[unsafe(no_mangle)]
extern "C" fn host_sign_seq(key: *const u8, enclave: *const u8, hash: *const u8, signature: *mut u8) -> i32 {
    [key, enclave, hash].into_iter().for_each(|pointer| given(pointer, 32));
    write(signature, &[5; 64]);
    0
}

#[unsafe(no_mangle)]
extern "C" fn host_sign_log(key: *const u8, enclave: *const u8, text: *const u8, len: u32, out: *mut u8) -> i32 {
    [key, enclave].into_iter().for_each(|pointer| given(pointer, 32));
    given(text, len);
    if len == 0 {
        return -4;
    }
    write(out, &[6; 96]);
    0
}

#[unsafe(no_mangle)]
extern "C" fn host_mac(name: *const u8, name_len: u32, bytes: *const u8, len: u32, mac: *mut u8) {
    given(name, name_len);
    given(bytes, len);
    write(mac, &[8; 32]);
}

#[unsafe(no_mangle)]
extern "C" fn host_random(bytes: *mut u8, len: u32) {
    write(bytes, &std::vec![9; len as usize]);
}

#[test]
fn what_is_handed_over_is_taken_once() {
    for len in [0, 1, 7, 4096] {
        let bytes: Vec<u8> = (0..len).map(|place| place as u8).collect();
        assert_eq!(take(hand_over(&bytes)), bytes);
    }
}

#[test]
fn statements_and_rows() {
    assert_eq!(Imports.sql_exec("DO", &[Value::Null, Value::Blob(&[1, 2, 3])]), Ok(1));
    assert_eq!((last_given(), last_given()), (b"DO".to_vec(), Vec::from([0, 3, 3, 0, 0, 0, 1, 2, 3])));
    let mut seen = Vec::new();
    let mut row = |row: &dyn Row| {
        assert_eq!(row.value(2), Value::Null, "no such column");
        seen.push((row.value(0), String::from("é")) == (Value::Int(seen.len() as i64), String::from("é")));
        assert_eq!(row.value(1), Value::Text("é"));
        seen.len() < 2
    };
    assert_eq!(Imports.sql_query("ASK", &[Value::Text("x")], &mut row), Ok(()));
    assert_eq!(seen, [true, true], "as many rows as were wanted");
    for (sql, fault) in [("fails 1", Fault::ReadOnly), ("fails 2", Fault::Full), ("fails 3", Fault::Storage)] {
        assert_eq!(Imports.sql_query(sql, &[], &mut |_| panic!("a row")), Err(fault));
    }
}

#[test]
fn requests_and_answers() {
    assert_eq!(Imports.get_body(), b"");
    let line = Imports.get_path();
    assert_eq!((line.method.as_str(), line.path.as_str(), line.query.as_str()), ("GET", "/x", "a=b"));
    let headers = Vec::from([("Allow", String::from("GET"))]);
    Imports.respond(Response { status: 405, headers, content_type: "text/plain", body: b"no".to_vec() });
    assert!(last_given().ends_with(b"}no"));
    Imports.send_ws(1, "a frame");
    assert_eq!(last_given(), b"a frame");
    Imports.set_alarm(&EnclaveId([3; 32]), Imports.now());
    assert_eq!(last_given(), [3; 32]);
    let (id, lane, url) = (FetchId::Challenge(5), "l".into(), "https://example.com".into());
    Imports.fetch(Fetch { id, lane, url, body: "{}".into() });
    assert!(String::from_utf8(last_given()).expect("text").contains("example.com"));
    Imports.accept_ws();
}

#[test]
fn signatures_macs_and_random_bytes() {
    let (key, enclave) = (PublicKey([1; 32]), EnclaveId([2; 32]));
    assert_eq!(Imports.host_sign_seq(&key, &enclave, &[3; 32]).map(|signature| signature.0), Ok([5; 64]));
    assert_eq!(
        (last_given(), last_given(), last_given()),
        (Vec::from([3; 32]), Vec::from([2; 32]), Vec::from([1; 32]))
    );
    assert_eq!(Imports.host_sign_log(&key, &enclave, "text"), Ok(([6; 32], [6; 64])));
    assert_eq!(Imports.host_sign_log(&key, &enclave, ""), Err(Fault::Key));
    assert_eq!(Imports.host_mac("name", &[]), [8; 32]);
    let mut bytes = [0; 5];
    Imports.host_random(&mut bytes);
    assert_eq!(bytes, [9; 5]);
    Imports.host_random(&mut []);
}

#[test]
fn entries_take_what_they_are_given() {
    assert_eq!(init(hand_over(b"no facts")), -3);
    assert_eq!(alarm(hand_over(&[7; 31])), -3, "no enclave's id");
    assert_eq!(alarm(hand_over(&[7; 32])), -3, "not begun");
}
