//! A node that gives the judge everything it can use, and judgements of it.

use conformance::encd::Encd;
use conformance::judge::{Address, Check, Report, Subject, judge, select};
use tempfile::TempDir;

const TOKEN: &str = "a token that only the operator knows";

/// A node with an operator's token that may push to this machine.
pub struct Scene {
    pub node: Encd,
    pub folder: TempDir,
}

impl Scene {
    pub fn new() -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let token = folder.path().join("admin-token");
        std::fs::write(&token, TOKEN).expect("the folder is writable");
        let config = format!("[admin]\ntoken_file = \"{}\"\n[outbound]\nallow_loopback = true\n", token.display());
        let node = Encd::start(folder.path(), &config);
        Scene { node, folder }
    }
}

/// What stands at `host:port`, with everything that a check may need.
pub fn subject(authority: &str) -> Subject {
    let mut subject = Subject::at(Address::parse(&format!("http://{authority}")).expect("an address"));
    (subject.token, subject.push_host) = (Some(TOKEN.into()), Some("127.0.0.1".into()));
    subject.is_local = true;
    subject
}

/// The checks with these names.
pub fn checks(names: &[&str]) -> Vec<&'static Check> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    select(&names).unwrap_or_else(|unknown| panic!("there is no check {unknown}"))
}

/// Judges, a few checks at a time.
pub fn judged(subject: &Subject, checks: &[&'static Check]) -> Vec<Report> {
    judge(subject, checks, 4)
}

/// The lines of some reports.
pub fn lines<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    reports.into_iter().map(|report| format!("{report}\n")).collect()
}
