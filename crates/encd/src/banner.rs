//! What a person sees when the node has started.

use crate::server::Server;
use std::fmt::Write;
use std::net::SocketAddr;

/// The banner; colours only for a terminal.
pub fn banner(server: &Server, terminal: bool) -> String {
    let host = server.host();
    let (bold, dim, plain) = if terminal { ("\x1b[1m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
    let mut rows: Vec<(&str, String)> = Vec::new();
    rows.push(("node", format!("{bold}{}{plain}", urls(server))));
    if let Some(url) = &host.config.listen.public_url {
        rows.push(("public", url.clone()));
    }
    rows.push(("admin", format!("http://{}  (metrics, readiness)", reachable(&server.admin()))));
    let folder = server.folder().canonicalize().unwrap_or_else(|_| server.folder().to_owned());
    let kept = if host.config.memory { "  (gone at exit)" } else { "" };
    rows.push(("data", format!("{}{kept}", folder.display())));
    rows.push(("key", host.keys.node().hex()));
    rows.push(("init", init_rule(server)));
    rows.push(("next", format!("{bold}{}{plain}", next_step(server))));
    let mut text = format!("\n  {bold}encd {}{plain}\n\n", env!("CARGO_PKG_VERSION"));
    for (name, value) in rows {
        // Writing to a text does not fail.
        writeln!(text, "  {dim}{name:<7}{plain} {value}").expect("a text takes whatever is written to it");
    }
    text.push('\n');
    text
}

fn init_rule(server: &Server) -> String {
    let admin = &server.host().admin;
    if admin.is_open_on_loopback() {
        "open: programs on this machine may provision sequencer keys (set admin.token_file to close it)".into()
    } else if admin.has_token() {
        "with the admin token only".into()
    } else {
        "closed: behind a proxy it needs admin.token_file".into()
    }
}

/// The commands that come next, spelled as they work from where this was started.
fn next_step(server: &Server) -> String {
    // Cargo tells the programs that it runs where their package is.
    let by_cargo = std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    let enc = if by_cargo { "cargo run --release -p enc --" } else { "enc" };
    let first = server.public().first().map(reachable).unwrap_or_default();
    let scheme = scheme(server);
    let node = match (&server.host().config.listen.public_url, scheme) {
        // A certificate names hosts, not this machine's own addresses.
        (Some(url), "https") => format!(" --node {url}"),
        (_, "http") if first == "127.0.0.1:8080" => String::new(),
        (_, scheme) => format!(" --node {scheme}://{first}"),
    };
    format!("type  {enc} init  and then  {enc} enclave create{node}")
}

fn urls(server: &Server) -> String {
    let scheme = scheme(server);
    let each: Vec<String> =
        server.public().iter().map(|address| format!("{scheme}://{}", reachable(address))).collect();
    each.join("  ")
}

fn scheme(server: &Server) -> &'static str {
    if server.host().tls.is_some() { "https" } else { "http" }
}

/// An address that can be typed: every interface includes this machine's own.
fn reachable(address: &SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("127.0.0.1:{}", address.port()),
        false => address.to_string(),
    }
}
