//! Finds PostgreSQL's programs on this machine, or installs them.
//!
//! Never runs the server as root, which PostgreSQL refuses: another user is found for that.

use std::{
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use super::{ClusterErrorKind, succeed};

/// PostgreSQL on this machine, and who runs it.
#[derive(Clone, Debug)]
pub(super) struct Installation {
    /// Where `initdb` and `postgres` are.
    bin: PathBuf,
    /// What the server says its version is.
    pub(super) version: String,
    /// User and group to run as, where we are root.
    pub(super) runs_as: Option<(u32, u32)>,
}

impl Installation {
    pub(super) fn find() -> Result<Self, ClusterErrorKind> {
        let is_root = std::fs::metadata("/proc/self").or_else(|_| own_file())?.uid() == 0;
        let bin = match found() {
            Some(bin) => bin,
            None if is_root => {
                install()?;
                found().ok_or_else(|| not_installed("apt-get brought no initdb"))?
            }
            None => return Err(not_installed("not root, so nothing was installed")),
        };
        let version = succeed(Command::new(bin.join("postgres")).arg("--version"))?;
        let runs_as = if is_root { Some(other_user()?) } else { None };
        Ok(Self { bin, version, runs_as })
    }

    /// A program of PostgreSQL, to be run by the user who may.
    pub(super) fn program(&self, name: &str) -> Command {
        self.as_user(&self.bin.join(name))
    }

    /// Any program, to be run by the same user.
    pub(super) fn as_user(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.runs_as {
            command.uid(user).gid(group);
        }
        command
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.bin.join("postgres")
    }
}

/// A file that we own, where there is no `/proc`.
fn own_file() -> std::io::Result<std::fs::Metadata> {
    let path = std::env::temp_dir().join(format!("inspay-owner-{}", std::process::id()));
    let metadata = std::fs::File::create(&path)?.metadata();
    std::fs::remove_file(&path)?;
    metadata
}

fn not_installed(why: impl Into<String>) -> ClusterErrorKind {
    ClusterErrorKind::NotInstalled(why.into())
}

fn found() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).collect::<Vec<_>>())
        .unwrap_or_default();
    let named = succeed(Command::new("pg_config").arg("--bindir"))
        .map(|directory| PathBuf::from(directory.trim()))
        .ok();
    let mut packaged: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|version| {
            let version = version.ok()?;
            Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin")))
        })
        .collect();
    packaged.sort_by(|a, b| b.cmp(a));
    on_path
        .into_iter()
        .chain(named)
        .chain(packaged.into_iter().map(|(_, directory)| directory))
        .find(|directory| ["initdb", "postgres"].iter().all(|name| directory.join(name).is_file()))
}

fn install() -> Result<(), ClusterErrorKind> {
    for arguments in [["update", "--yes"].as_slice(), &["install", "--yes", "postgresql"]] {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        succeed(&mut command).map_err(|error| not_installed(error.to_string()))?;
    }
    Ok(())
}

/// User and group of somebody who is not root.
fn other_user() -> Result<(u32, u32), ClusterErrorKind> {
    let number = |flag: &str, user: &str| -> Option<u32> {
        succeed(Command::new("id").args([flag, user])).ok()?.trim().parse().ok()
    };
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|user| Some((number("-u", user)?, number("-g", user)?)))
        .ok_or_else(|| not_installed("there is neither a user postgres nor nobody to run it"))
}
