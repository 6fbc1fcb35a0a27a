//! Requests as they are sent, whole: line, headers, body.

use protocol::EnclaveId;

/// A request, ready to be written to a connection.
pub type Request = Box<[u8]>;

/// A GET below an enclave.
pub fn get(enclave: &EnclaveId, path: &str) -> Request {
    get_as(enclave, path, "")
}

/// A GET below an enclave with further header lines, each with its end.
pub fn get_as(enclave: &EnclaveId, path: &str, headers: &str) -> Request {
    format!("GET /{enclave}/{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n").into_bytes().into_boxed_slice()
}

/// A POST of JSON.
pub fn post(path: &str, body: &str) -> Request {
    with_body(path, "application/json", body)
}

/// A POST of commits, a line each.
pub fn lines(commits: &[String]) -> Request {
    with_body("/commits", "application/x-ndjson", &commits.join("\n"))
}

fn with_body(path: &str, media: &str, body: &str) -> Request {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat().into_boxed_slice()
}
