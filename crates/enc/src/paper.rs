//! Completions and manual pages, made from the grammar of the command line.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::Output;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::fs;
use std::path::PathBuf;

/// Which completions.
#[derive(Args)]
pub struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

/// Where the manual goes.
#[derive(Args)]
pub struct Manual {
    /// A folder for enc.1, enc-commit.1 and the others; it is made if it is not there
    folder: Option<PathBuf>,
}

/// Prints the completions of a shell.
pub fn completions(asked: &Completions, out: Output) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(asked.shell, &mut Cli::command(), "enc", &mut text);
    out.raw(String::from_utf8_lossy(&text).trim_end())
}

/// Prints the page of the whole, or writes all pages.
pub fn manual(asked: &Manual, out: Output) -> Result<(), Failure> {
    match &asked.folder {
        Some(folder) => {
            let failed = |cause| Failure::File { path: folder.clone(), cause };
            fs::create_dir_all(folder).map_err(failed)?;
            clap_mangen::generate_to(Cli::command(), folder).map_err(failed)
        }
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(Cli::command()).render(&mut text).map_err(Failure::Output)?;
            out.raw(String::from_utf8_lossy(&text).trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn papers_name_every_command() {
        let grammar = Cli::command();
        let commands: Vec<&str> = grammar.get_subcommands().map(clap::Command::get_name).collect();
        assert!(commands.len() > 15);
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "enc", &mut text);
            let text = String::from_utf8(text).expect("text");
            for command in &commands {
                assert!(text.contains(command), "{shell} without {command}");
            }
        }
    }

    #[test]
    fn each_command_has_a_page() {
        let folder = std::env::temp_dir().join(format!("enc-manual-{}", std::process::id()));
        manual(&Manual { folder: Some(folder.clone()) }, Output::new(false)).expect("the pages are written");
        for command in Cli::command().get_subcommands() {
            let page = folder.join(format!("enc-{}.1", command.get_name()));
            let text = fs::read_to_string(&page).expect("the page is there");
            assert!(text.contains(".SH NAME"), "{}", page.display());
        }
        fs::remove_dir_all(&folder).expect("it was made above");
    }
}
