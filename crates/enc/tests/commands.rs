//! The command line as a person uses it, against a real node.

#[path = "../../client/tests/support/running.rs"]
mod running;

use protocol::Json;
use protocol::json::{self, MAX_DEPTH};
use running::Running;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A configuration folder of its own, cleared away.
struct Person {
    home: PathBuf,
}

impl Person {
    fn new(name: &str) -> Person {
        let home = std::env::temp_dir().join(format!("enc-commands-{}-{name}", std::process::id()));
        Person { home }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_enc"));
        command.args(arguments).env("ENC_HOME", &self.home).env_remove("XDG_CONFIG_HOME");
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Runs it, expects success, gives standard output.
    fn does(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Runs it, expects this exit code, gives standard error.
    fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        text
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.home.join(name);
        fs::create_dir_all(&self.home).and_then(|()| fs::write(&path, content)).expect("writable");
        path.display().to_string()
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if self.home.exists() {
            fs::remove_dir_all(&self.home).expect("the folder goes");
        }
    }
}

fn rows(text: &str) -> Vec<Json> {
    text.lines().map(|line| json::parse(line.as_bytes(), MAX_DEPTH).expect("one JSON text a line")).collect()
}

fn member(row: &Json, name: &str) -> String {
    row.member(name).and_then(Json::as_text).unwrap_or_else(|| panic!("no {name} in {}", row.to_jcs())).into()
}

/// A person with a key and an enclave at the node.
fn settled(name: &str, node: &Running) -> Person {
    let person = Person::new(name);
    person.does(&["init", "--node", &node.url]);
    person.does(&["enclave", "create", "--name", "first"]);
    person
}

#[test]
fn a_first_session_works_as_the_help_says() {
    let node = Running::start();
    let person = settled("first", &node);
    assert!(person.does(&["init"]).contains("there already"));
    let receipt = &rows(&person.does(&["commit", "Message", "hello", "--json"]))[0];
    assert!(person.does(&["query", "--type", "Message"]).contains("\"hello\""));
    let read = &rows(&person.does(&["query", "--type", "Message", "--json"]))[0];
    assert_eq!(member(read, "id"), member(receipt, "id"));
    assert!(person.does(&["enclave", "list"]).contains("first"));
    assert!(person.does(&["enclave", "show"]).contains("status     active"));
    assert!(person.does(&["node"]).contains("services   enc-node"));
    assert!(person.does(&["watch", "--once", "--type", "Message"]).contains("\"hello\""));
    assert!(person.does(&["--sealed", "query"]).contains("\"hello\""));
}

#[test]
fn proofs_go_through_files_and_changed_files_do_not_hold() {
    let node = Running::start();
    let person = settled("proofs", &node);
    let id = member(&rows(&person.does(&["commit", "Message", "hello", "--json"]))[0], "id");
    assert!(person.fails(3, &["prove", "event", &id]).contains("not_bundled"));
    assert!(person.does(&["close-bundle"]).contains("1 entries"));
    for (kind, arguments) in [
        ("event", &["prove", "event", &id][..]),
        ("bundle", &["prove", "bundle", &id]),
        ("state", &["prove", "state", "identity:me", "lifecycle"]),
        ("log", &["prove", "log"]),
    ] {
        let proof = person.does(arguments);
        let file = person.file(kind, &proof);
        assert!(person.does(&["verify", kind, &file]).contains("holds"), "{kind}");
        assert!(person.does(&["--enclave", "first", "verify", kind, &file, "--json"]).contains("\"ok\":true"));
        let other = "0".repeat(64);
        assert!(person.fails(1, &["--enclave", &other, "verify", kind, &file]).contains("not 0000"));
        let signature = proof.find("\"seq_sig\":\"").expect("an event with its signature") + 11;
        let digit = if proof.as_bytes()[signature] == b'0' { "1" } else { "0" };
        let changed = format!("{}{digit}{}", &proof[..signature], &proof[signature + 1..]);
        person.fails(1, &["verify", kind, &person.file("changed", &changed)]);
    }
    assert!(person.does(&["audit"]).contains("holds"));
    let snapshot = person.home.join("log.enc").display().to_string();
    person.does(&["snapshot", &snapshot]);
    assert!(person.does(&["verify", "snapshot", &snapshot]).contains("every signature, every rule, every root"));
}

#[test]
fn several_people_play_on_one_machine() {
    let node = Running::start();
    let person = settled("several", &node);
    person.does(&["keygen", "alice"]);
    person.fails(2, &["keygen", "alice"]);
    let keys = person.does(&["keys"]);
    let alice =
        keys.lines().find(|line| line.ends_with("alice")).and_then(|line| line.split(' ').next()).expect("a key");
    assert!(person.fails(3, &["--as", "alice", "commit", "Message", "hi"]).contains("unauthorized"));
    person.does(&["commit", "Move", &format!(r#"{{"target":"{alice}","to":"MEMBER"}}"#)]);
    person.does(&["--as", "alice", "commit", "Message", "hi"]);
    let by_alice = person.does(&["query", "--from", "alice", "--json"]);
    assert_eq!(rows(&by_alice).len(), 1);
}

#[test]
fn a_dry_run_says_which_step_refuses_and_sends_nothing() {
    let node = Running::start();
    let person = settled("dry", &node);
    person.does(&["keygen", "stranger"]);
    let rows_of = [
        (0, &["commit", "--dry-run", "Message", "x"][..], "it would be sequenced"),
        (3, &["commit", "--dry-run", "Other", "x"], " 7  roles         refuses: unauthorized"),
        (3, &["commit", "--dry-run", "--as", "stranger", "Message", "x"], " 7  roles         refuses: unauthorized"),
        (3, &["commit", "--dry-run", "Move", r#"{"target":"00","to":"MEMBER"}"#], "refuses: invalid_structure"),
        (3, &["commit", "--dry-run", "bad type", "x"], " 1  structure     refuses: invalid_structure"),
    ];
    for (code, arguments, expected) in rows_of {
        let output = person.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
    }
    assert_eq!(rows(&person.does(&["query", "--json"])).len(), 1, "nothing but the Manifest");
}

#[test]
fn failures_say_what_to_do_and_have_their_exit_codes() {
    let node = Running::start();
    let person = settled("failures", &node);
    assert!(person.fails(2, &["query", "--enclave", "nobody"]).contains("enc enclave list"));
    assert!(person.fails(2, &["--as", "nobody", "query"]).contains("enc keygen"));
    assert!(person.fails(2, &["explain", "no_such_code"]).contains("lists them all"));
    assert!(person.fails(3, &["--stranger", "query"]).contains("enc explain unauthorized"));
    let gone = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    assert!(person.fails(4, &["--node", &format!("http://{gone}"), "node"]).contains("that the node runs"));
    assert!(person.fails(5, &["verify", "event", "/no/such/file"]).contains("/no/such/file"));
    let output = person.run(&["--json", "--stranger", "query"]);
    let failure = &rows(&String::from_utf8_lossy(&output.stdout))[0];
    assert_eq!(member(failure, "error"), "unauthorized");
    assert_eq!(output.status.code(), Some(3));
    for code in protocol::Code::ALL {
        assert!(person.does(&["explain", code.as_str()]).contains(code.message()));
    }
}

#[test]
fn manifests_are_linted_before_they_are_signed() {
    let person = Person::new("lint");
    for template in ["personal", "dm", "group", "open"] {
        let file = person.file("manifest.json", &person.does(&["manifest", "template", template]));
        assert!(person.does(&["manifest", "lint", &file]).contains("valid"), "{template}");
        let broken = fs::read_to_string(&file).expect("readable").replace("\"OUTSIDER\"", "\"OUTSIDERS\"");
        let output = person.run(&["manifest", "lint", &person.file("broken.json", &broken)]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            (output.status.code(), text.starts_with("breaks a rule at RBAC.")),
            (Some(1), true),
            "{template}: {text}"
        );
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let node = Running::start();
    let person = settled("pipe", &node);
    for text in ["one", "two", "three"] {
        person.does(&["commit", "Message", text]);
    }
    let mut child = person.command(&["query"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let person = Person::new("private");
    person.does(&["init"]);
    let key = person.home.join("keys").join("me.key");
    let mode = |path: &PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("mine");
    assert!(person.fails(5, &["keys"]).contains("chmod 600"));
}
