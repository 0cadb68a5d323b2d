//! One server process in a directory of its own.
//!
//! Never the child of this process directly: a shell stands between that outlives a killed parent just long
//! enough to stop the server and to remove its files.

use std::{
    io::Write as _,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use super::{ClusterErrorKind, install::Installation, succeed};

/// The superuser of every cluster.
pub(super) const ROLE: &str = "inspay";

/// A line asks for a clean stop; the end of the pipe means that nobody needs the files any more.
const WATCH: &str = r#"
trap '' INT TERM HUP
"$1" -D "$2/data" -c listen_addresses= -c unix_socket_directories="$2" </dev/null >"$2/log" 2>&1 &
server=$!
if read -r _; then
    kill -INT "$server"
    wait "$server"
else
    kill -QUIT "$server"
    wait "$server"
    rm -rf "$2"
fi
"#;

static DIRECTORIES: AtomicU32 = AtomicU32::new(0);

/// A server and the shell that watches over it.
#[derive(Debug)]
pub(super) struct Server {
    directory: PathBuf,
    watch: Child,
}

impl Server {
    /// A server on a new, empty data directory.
    pub(super) fn fresh(installation: &Installation) -> Result<Self, ClusterErrorKind> {
        let directory = own_directory(installation)?;
        let data = directory.join("data");
        let mut initdb = installation.program("initdb");
        initdb.arg("--pgdata").arg(&data).args(["--username", ROLE, "--auth", "trust"]);
        initdb.args(["--encoding", "UTF8", "--locale", "C", "--no-sync"]).current_dir(&directory);
        succeed(&mut initdb)?;
        Self::spawn(installation, directory)
    }

    /// A server on a copy of a data directory.
    pub(super) fn copy_of(
        installation: &Installation,
        template: &Path,
    ) -> Result<Self, ClusterErrorKind> {
        let directory = own_directory(installation)?;
        copy(template, &directory.join("data"))?;
        Self::spawn(installation, directory)
    }

    fn spawn(installation: &Installation, directory: PathBuf) -> Result<Self, ClusterErrorKind> {
        let mut watch = installation.as_user(Path::new("/bin/sh"));
        watch.args(["-c", WATCH, "inspay-postgres"]).arg(installation.postgres()).arg(&directory);
        // In a group of its own, so that a signal to ours does not take the watch away first.
        watch.process_group(0).current_dir(&directory);
        let watch =
            watch.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Self { directory, watch })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}@localhost/{database}?host={}", self.directory.display())
    }

    /// The last lines of the server's log.
    pub(super) fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Stops the server cleanly and leaves its files in place until the value is dropped.
    pub(super) fn stop(&mut self) -> Result<(), ClusterErrorKind> {
        if let Some(mut pipe) = self.watch.stdin.take() {
            pipe.write_all(b"stop\n")?;
        }
        self.watch.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        let ended = self.watch.wait();
        let removed =
            if self.directory.exists() { std::fs::remove_dir_all(&self.directory) } else { Ok(()) };
        if let Err(error) = ended.map(drop).and(removed) {
            tracing::warn!(directory = %self.directory.display(), %error, "a test cluster was left behind");
        }
    }
}

/// A new directory that the server's user owns, short enough for a socket's path.
fn own_directory(installation: &Installation) -> Result<PathBuf, ClusterErrorKind> {
    loop {
        let number = DIRECTORIES.fetch_add(1, Ordering::Relaxed);
        let name = format!("inspay-pg-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        match std::fs::create_dir(&directory) {
            Ok(()) => {
                if let Some((user, group)) = installation.runs_as {
                    chown(&directory, Some(user), Some(group))?;
                }
                return Ok(directory);
            }
            // Left by an earlier process of the same number.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies a data directory with its owners; what was never written to takes no room.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), ClusterErrorKind> {
    let mut copy = Command::new("cp");
    copy.arg("-a");
    if cfg!(target_os = "linux") {
        copy.arg("--sparse=always");
    }
    succeed(copy.arg(from).arg(to)).map(drop)
}
