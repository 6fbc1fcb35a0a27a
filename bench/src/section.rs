//! What a measurement says: a section of Markdown, with its command, its machine and its verdicts. `RESULTS.md` is put together from
//! such sections.

use crate::machine;
use crate::run::Run;
use anyhow::Context;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The measurements, in the order in which `RESULTS.md` shows them.
pub const NAMES: [&str; 8] = ["commits", "batch", "latency", "reads", "subscribers", "memory", "members", "events"];

/// What came of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Every target was met, or none was judged.
    Met,
    /// A target was missed.
    Missed,
    /// Something makes the numbers worthless.
    Void,
}

/// A section as it grows.
pub struct Section {
    name: &'static str,
    judged: bool,
    text: String,
    load_before: String,
    standing: Standing,
}

impl Section {
    /// Begins one; `options` are the measurement's own, as they were.
    pub fn begin(name: &'static str, title: &str, run: &Run, options: &str) -> Section {
        let options = if options.is_empty() { String::new() } else { format!(" {options}") };
        let folder = std::env::temp_dir();
        let text = format!(
            "## {title}\n\n    cargo build --profile dist -p encd -p bench\n    ./target/dist/bench {name}{options}{}\n\n\
             {}: built with `{}`, {}.\n",
            run.options(),
            machine::day(),
            run.profile(),
            machine::describe(&folder),
        );
        eprintln!("── {name}");
        let mut section =
            Section { name, judged: !run.quick, text, load_before: machine::load(), standing: Standing::Met };
        if machine::is_memory(&folder) {
            section.void("the data lies in memory (tmpfs): set TMPDIR to a folder on a disk");
        }
        section
    }

    /// A paragraph.
    pub fn say(&mut self, text: &str) {
        eprintln!("{text}");
        self.line(&format!("\n{text}"));
    }

    /// A table; a row has as many cells as the head.
    pub fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("\n| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
    }

    /// A verdict: what was asked, what was measured, and whether that is enough.
    pub fn judge(&mut self, target: &str, measured: &str, met: bool) {
        let verdict = match (self.judged, met) {
            (false, _) => "not judged: a smoke run",
            (true, true) => "met",
            (true, false) => "**missed**",
        };
        if self.judged && !met {
            self.standing = self.standing.max(Standing::Missed);
        }
        self.say(&format!("Target: {target}. Measured: {measured}: {verdict}."));
    }

    /// The numbers are worth nothing. A smoke run's never were.
    pub fn void(&mut self, reason: &str) {
        if self.judged {
            self.standing = Standing::Void;
        }
        self.say(&format!("**VOID**: {reason}."));
    }

    /// Ends it: prints it, and writes it where the run keeps sections.
    pub fn end(mut self, run: &Run) -> anyhow::Result<Standing> {
        self.line(&format!("\nLoad average: {} before, {} after.", self.load_before, machine::load()));
        println!("{}", self.text);
        if let Some(folder) = &run.out {
            fs::create_dir_all(folder)?;
            fs::write(folder.join(format!("{}.md", self.name)), &self.text)?;
            assemble(folder)?;
        }
        Ok(self.standing)
    }

    fn line(&mut self, text: &str) {
        writeln!(self.text, "{text}").expect("a text takes whatever is written to it");
    }
}

/// Puts the sections of a folder together, into `RESULTS.md` beside it. Sections of other names, written by hand, come last.
pub fn assemble(folder: &Path) -> anyhow::Result<()> {
    let mut others = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("no sections in {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if let Some(stem) = name.strip_suffix(".md")
            && !NAMES.contains(&stem)
        {
            others.push(stem.to_owned());
        }
    }
    others.sort();
    let mut text = String::from(
        "# Results\n\nPut together from `results/` by `bench report`; what each part compares stands in `README.md`.\n",
    );
    for name in NAMES.iter().copied().chain(others.iter().map(String::as_str)) {
        let path = folder.join(format!("{name}.md"));
        if path.is_file() {
            text.push('\n');
            text.push_str(&fs::read_to_string(path)?);
        }
    }
    let results = folder.parent().context("the folder of sections lies in another")?.join("RESULTS.md");
    Ok(fs::write(results, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_are_what_their_sections_say() {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = tempfile::tempdir().expect("a folder");
        let copy = folder.path().join("results");
        fs::create_dir(&copy).expect("a folder");
        for entry in fs::read_dir(kept.join("results")).expect("sections") {
            let path = entry.expect("a section").path();
            fs::copy(&path, copy.join(path.file_name().expect("a file has a name"))).expect("copied");
        }
        assemble(&copy).expect("put together");
        let [made, kept] =
            [folder.path(), kept].map(|path| fs::read_to_string(path.join("RESULTS.md")).expect("a file"));
        assert!(made == kept, "write sections, not RESULTS.md: cargo run -p bench -- report --out bench/results");
    }
}
