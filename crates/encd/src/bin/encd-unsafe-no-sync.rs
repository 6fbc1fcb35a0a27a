//! The node without its syncs, under a name of its own: what the crash rounds must catch (`conformance/README.md`).

#[path = "../main.rs"]
mod node;

fn main() -> std::process::ExitCode {
    node::main()
}
