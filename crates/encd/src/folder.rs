//! The data folder: where it is, that it is ours alone, and that only one process at a time works in it.
//!
//! ```text
//! lock                 held while a node runs
//! data/node.json       what was fixed when the folder was made
//! data/shard-0.db …    the enclaves
//! data/shard-0.mark …  how far each shard had come, kept outside the database
//! keys/…               see `keys`
//! ```

use crate::config::Config;
use crate::stop::{Exit, StartError};
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A data folder that this process holds. Letting it go lets others in.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    temporary: bool,
    lock: Option<File>,
}

impl Folder {
    /// Finds, makes and locks the folder that the configuration means.
    pub fn open(config: &Config) -> Result<Folder, StartError> {
        let path = if config.memory { temporary_path()? } else { chosen_path(config, |name| env::var_os(name)) };
        let unusable = |error: io::Error| {
            StartError::new(
                Exit::Config,
                format!(
                    "the data folder {} cannot be used ({error}); make it writable for this user (mkdir -p {0} && chown $(id -un) {0}) or name another with --data",
                    path.display()
                ),
            )
        };
        make_private(&path).map_err(unusable)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&path)),
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        for inner in ["data", "keys"] {
            make_private(&path.join(inner)).map_err(unusable)?;
        }
        sync_folder(&path).map_err(unusable)?;
        Ok(Folder { path, temporary: config.memory, lock: Some(lock) })
    }

    /// Where the folder is that the configuration means; it is neither made nor locked.
    ///
    /// # Errors
    /// No node has ever worked there.
    pub fn locate(config: &Config) -> Result<PathBuf, StartError> {
        let path = chosen_path(config, |name| env::var_os(name));
        if path.join("data").join("node.json").is_file() {
            return Ok(path);
        }
        let line = format!("{} is no data folder of a node; name the right one with --data DIR", path.display());
        Err(StartError::new(Exit::NoInput, line))
    }

    /// Where the folder would be that the configuration means.
    pub fn place(config: &Config) -> PathBuf {
        chosen_path(config, |name| env::var_os(name))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Databases.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Keys.
    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// Gone at exit.
    pub fn is_temporary(&self) -> bool {
        self.temporary
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "the temporary folder could not be removed");
        }
        drop(self.lock.take());
    }
}

/// Writes a file so that after a crash it is there whole or not at all, readable for this user only.
pub fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().expect("a file of the data folder has a folder");
    let staged = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&staged)?;
    file.write_all(content)?;
    sync(&file)?;
    fs::rename(&staged, path)?;
    sync_folder(folder)
}

/// The same for a file that nobody may find where this fails: what is refused leaves nothing behind.
pub fn create_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    write_durably(path, content).inspect_err(|_| match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::error!(%error, path = %path.display(), "a file of a refused request is left behind; remove it")
        }
    })
}

/// Makes the names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    sync(&File::open(folder)?)
}

fn sync(file: &File) -> io::Result<()> {
    if cfg!(feature = "unsafe-no-sync") { Ok(()) } else { file.sync_all() }
}

fn held(path: &Path) -> StartError {
    StartError::new(
        Exit::Held,
        format!(
            "another encd works in {}; stop it, or give this one a folder of its own with --data DIR (and ports of its own: --port, --admin-listen)",
            path.display()
        ),
    )
}

/// Makes a folder that this user alone may enter, or makes it so.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn chosen_path(config: &Config, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = &config.data {
        path.clone()
    } else if let Some(path) = set("STATE_DIRECTORY") {
        path
    } else if let Some(path) = set("XDG_DATA_HOME") {
        path.join("encd")
    } else {
        PathBuf::from("encd-data")
    }
}

/// In memory where the system has a file system for that.
fn temporary_path() -> Result<PathBuf, StartError> {
    let unusable = |error: String| StartError::new(Exit::Config, format!("no temporary folder can be made ({error})"));
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| unusable(error.to_string()))?;
    let shared_memory = Path::new("/dev/shm");
    let parent = if shared_memory.is_dir() { shared_memory.to_owned() } else { env::temp_dir() };
    Ok(parent.join(format!("encd-{}", protocol::ids::hex(&random))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Config {
        Config { memory: true, ..Config::default() }
    }

    #[test]
    fn the_order_of_folders() {
        type Set = &'static [(&'static str, &'static str)];
        let rows: &[(Option<&str>, Set, &str)] = &[
            (Some("/given"), &[("STATE_DIRECTORY", "/state"), ("XDG_DATA_HOME", "/home")], "/given"),
            (None, &[("STATE_DIRECTORY", "/state"), ("XDG_DATA_HOME", "/home")], "/state"),
            (None, &[("XDG_DATA_HOME", "/home")], "/home/encd"),
            (None, &[("STATE_DIRECTORY", ""), ("XDG_DATA_HOME", "")], "encd-data"),
            (None, &[], "encd-data"),
        ];
        for (given, set, expected) in rows {
            let config = Config { data: given.map(PathBuf::from), ..Config::default() };
            let path = chosen_path(&config, |name| set.iter().find(|(key, _)| *key == name).map(|(_, v)| v.into()));
            assert_eq!(path, Path::new(expected));
        }
    }

    #[test]
    fn private_and_gone_at_the_end() {
        let folder = Folder::open(&memory()).expect("a temporary folder");
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).expect("it exists").permissions().mode() & 0o777, 0o700);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn one_process_at_a_time() {
        let first = Folder::open(&memory()).expect("a temporary folder");
        let config = Config { data: Some(first.path().to_owned()), ..Config::default() };
        let refused = Folder::open(&config).expect_err("the folder is held");
        assert_eq!(refused.exit, Exit::Held);
        assert!(refused.line.contains("--data"));
    }

    #[test]
    fn unusable_folders_say_how_to_mend() {
        let config = Config { data: Some("/proc/encd".into()), ..Config::default() };
        let refused = Folder::open(&config).expect_err("nothing is made in /proc");
        assert_eq!(refused.exit, Exit::Config);
        assert!(refused.line.contains("chown") && refused.line.contains("--data"));
    }
}
