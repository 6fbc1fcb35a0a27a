//! A person with the unmodified `enc` and a home of its own; an enclave, and files of evidence.

use conformance::encd::{Encd, binary};
use conformance::people::json;
use protocol::evidence::{self, Evidence};
use protocol::json::{self as reader, MAX_DEPTH};
use protocol::{EnclaveId, Json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Everybody reads and writes `note`, every event is a bundle.
const MANIFEST: &str = r#"{"enc_v":2,"sequencer":"SEQ","bundle":{"size":1,"timeout":1000},"RBAC":{
    "states":["MEMBER"],"traits":["owner(0)"],"readers":[{"type":"Public","reads":"*"}],
    "customs":[{"event":"note","operator":"Public","ops":["C"]}],
    "init":[{"identity":"ME","state":"MEMBER","traits":["owner"]}]}}"#;

/// Exit code of `enc evidence collect` where it has found some.
pub const FOUND: i32 = 6;

/// Who uses `enc`.
pub struct Person {
    folder: PathBuf,
}

impl Person {
    /// Somebody new, with a key.
    pub fn new(folder: &Path, name: &str) -> Person {
        let person = Person { folder: folder.join(name) };
        std::fs::create_dir(&person.folder).expect("the folder is writable");
        person.does(&["init"]);
        person
    }

    /// The same person at another machine, who knows there what it knows here now.
    pub fn twin(person: &Person, name: &str) -> Person {
        let twin = Person { folder: person.path(name) };
        copy_folder(&person.home(), &twin.home());
        twin
    }

    /// A file or folder of this person.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Its client's folder.
    pub fn home(&self) -> PathBuf {
        self.path("home")
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(binary("enc"));
        command.args(words).env("ENC_HOME", self.home()).env_remove("XDG_CONFIG_HOME").current_dir(&self.folder);
        command.output().expect("the binary runs here")
    }

    /// Runs it, expects this exit code; standard output and standard error.
    pub fn ends(&self, code: i32, words: &[&str]) -> String {
        let output = self.run(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
        said
    }

    /// Runs it and expects that it goes well; standard output alone.
    pub fn does(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    /// Writes a note at a node.
    pub fn notes(&self, url: &str, text: &str) {
        self.does(&["--node", url, "commit", "note", text]);
    }

    /// Writes down what it holds, as the node at this address is asked too; the file's name.
    pub fn exports(&self, url: &str, name: &str) -> String {
        let held = self.does(&["--node", url, "evidence", "export"]);
        let path = self.path(name);
        std::fs::write(&path, held).expect("the folder is writable");
        path.display().to_string()
    }

    /// `enc evidence collect` with these words, which finds something: the files by kind, each in the order found.
    pub fn collects(&self, words: &[&str]) -> Vec<(String, PathBuf)> {
        let out = self.path("found").display().to_string();
        let said = self.ends(FOUND, &[&["--json", "evidence", "collect", "--out", &out], words].concat());
        let rows = said.lines().filter_map(|line| reader::parse(line.as_bytes(), MAX_DEPTH).ok());
        let text = |row: &Json, name: &str| row.member(name).and_then(Json::as_text).map(String::from);
        rows.filter_map(|row| Some((text(&row, "kind")?, PathBuf::from(text(&row, "file")?)))).collect()
    }

    /// The same where nothing is found.
    pub fn finds_nothing(&self, words: &[&str]) {
        let said = self.does(&[&["evidence", "collect"], words].concat());
        assert!(said.starts_with("nothing contradicts"), "{said}");
    }
}

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is writable");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it is there");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("it is there").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

/// Makes an enclave and writes a note; its id.
pub fn settle(person: &Person, node: &Encd) -> EnclaveId {
    let url = format!("http://{}", node.address);
    let manifest = person.path("manifest.json");
    std::fs::write(&manifest, MANIFEST).expect("the folder is writable");
    let manifest = manifest.display().to_string();
    let said = person.does(&["--json", "--node", &url, "enclave", "create", "--manifest", &manifest]);
    let made = json(said.trim());
    person.notes(&url, "before");
    let id = made.member("enclave").and_then(Json::as_text).expect("an id");
    EnclaveId::parse(id).expect("an id")
}

/// Meets an enclave and reads all of it.
pub fn visit(person: &Person, url: &str, enclave: EnclaveId) {
    person.does(&["--node", url, "enclave", "use", &enclave.hex()]);
    person.does(&["--node", url, "query"]);
}

/// The only file of a kind.
pub fn one<'a>(found: &'a [(String, PathBuf)], kind: &str) -> &'a Path {
    let of_kind: Vec<&PathBuf> = found.iter().filter(|(found, _)| found == kind).map(|(_, path)| path).collect();
    assert_eq!(of_kind.len(), 1, "one {kind} among {found:?}");
    of_kind[0]
}

/// A file as evidence, which holds.
pub fn read(path: &Path) -> Evidence {
    let bytes = std::fs::read(path).expect("it was written");
    let evidence = Evidence::from_json(reader::parse(&bytes, MAX_DEPTH).expect("JSON")).expect("evidence");
    evidence.verify().expect("it holds");
    evidence
}

/// No byte of a file can be another without the file being refused.
pub fn every_byte_counts(path: &Path) {
    let bytes = std::fs::read(path).expect("it was written");
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        let verdict = reader::parse(&changed, MAX_DEPTH).ok().and_then(|value| evidence::verify(value).ok());
        let around = String::from_utf8_lossy(&bytes[place.saturating_sub(30)..=place]).into_owned();
        assert!(verdict.is_none(), "{}: byte {place} may be another: …{around}", path.display());
    }
}
