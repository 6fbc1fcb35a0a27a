//! The program in `conformance/go`: a log and its witnesses read by other people's code, in another language.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Where the module lies.
pub fn module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("go")
}

/// Builds a package of the module's, or of one that it requires, once for all tests that run beside each other; where the binary is.
///
/// # Panics
/// Without Go, with the line that says what is missing; or with what the compiler said.
pub fn build(package: &str, name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows where it lies");
    let target = own.ancestors().nth(3).expect("a test lies in target/<profile>/deps").join("go");
    let binary = target.join(name);
    let built = Command::new("go")
        .args(["build", "-buildvcs=false", "-o"])
        .arg(&binary)
        .arg(package)
        .current_dir(module())
        .stdin(Stdio::null())
        .output();
    let built = built.unwrap_or_else(|error| {
        panic!("`go` does not run ({error}): the tests of conformance/go need Go 1.26 or later, with its module proxy")
    });
    assert!(built.status.success(), "go build {package} failed: {}", String::from_utf8_lossy(&built.stderr));
    binary
}

/// Runs the module's own program: its standard output, or what it complains of.
///
/// # Errors
/// What it wrote to its standard error, where it did not end well.
pub fn run(args: &[&str]) -> Result<String, String> {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| build(".", "conformance"));
    let output = Command::new(program).args(args).stdin(Stdio::null()).output().expect("the program was just built");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
