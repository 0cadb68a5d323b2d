//! The Anvil process and the watchdog that ends it when we end, however we end.
//!
//! ```text
//! us ──stdin pipe──▶ sh (watchdog) ──▶ anvil
//!       closes           kills
//! ```
//! A pipe closes on every way out, SIGKILL too, which no exit handler can promise. Never leaves
//! Anvil running, never leaves the watchdog running after Anvil, and never leaves behind the states of
//! former blocks that Anvil puts on disk: gigabytes for a chain of 20,000 blocks.

use std::{
    collections::VecDeque,
    ffi::OsString,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use crate::DevchainError;

/// `$1` is the signal that ends Anvil, `$2` the directory that goes with it, the rest its command line. TERM lets it write its state
/// first; if it does not end by itself within five seconds it is killed.
const WATCHDOG: &str = r#"
signal=$1; states=$2; shift 2
exec 3<&0
"$@" </dev/null 3<&- 2>&1 &
anvil=$!
{
    read -r _ <&3
    kill -s "$signal" "$anvil"
    left=100
    while kill -0 "$anvil" && [ "$left" -gt 0 ]; do sleep 0.05; left=$((left - 1)); done
    kill -s KILL "$anvil"
} >/dev/null 2>&1 &
guard=$!
wait "$anvil"
code=$?
kill -s KILL "$guard" 2>/dev/null
rm -rf "$states"
exit "$code"
"#;

const START_TIMEOUT: Duration = Duration::from_secs(60);
const LAST_WORDS: usize = 20;

/// How Anvil is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// At once.
    Kill,
    /// After it has written its state file.
    SaveState,
}

/// A running Anvil; ends with this value.
#[derive(Debug)]
pub(crate) struct AnvilProcess {
    watchdog: Child,
    port: u16,
    states: PathBuf,
}

impl AnvilProcess {
    /// Starts Anvil and returns once it listens.
    pub(crate) async fn start(
        binary: &Path,
        arguments: &[OsString],
        ending: Ending,
    ) -> Result<Self, DevchainError> {
        let signal = match ending {
            Ending::Kill => "KILL",
            Ending::SaveState => "TERM",
        };
        let states = tempfile::Builder::new()
            .prefix("inspay-anvil-")
            .tempdir()
            .map_err(DevchainError::States)?;
        let mut command = Command::new("sh");
        command.args(["-c", WATCHDOG, "inspay-devchain", signal]).arg(states.path());
        command.arg(binary).args(arguments).arg("--cache-path").arg(states.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // Ctrl-C in a terminal reaches the whole group: the gateway must get to stop first.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let spawned = command.spawn();
        let mut watchdog = spawned
            .map_err(|source| DevchainError::Spawn { program: binary.to_owned(), source })?;
        // The watchdog's from here on: it is there after a death of ours too.
        let states = states.keep();
        let stdout = watchdog.stdout.take();
        // From here on the value's Drop cleans up, whatever happens below.
        let mut process = Self { watchdog, port: 0, states };
        let Some(stdout) = stdout else {
            return Err(DevchainError::NotListening { output: "no output".to_owned() });
        };
        let (listening, port) = oneshot::channel();
        thread::spawn(move || read_output(stdout, listening));
        process.port = match tokio::time::timeout(START_TIMEOUT, port).await {
            Ok(Ok(Ok(port))) => port,
            Ok(Ok(Err(output))) => return Err(DevchainError::NotListening { output }),
            Ok(Err(_)) | Err(_) => {
                return Err(DevchainError::NotListening { output: "nothing in time".to_owned() });
            }
        };
        Ok(process)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn states(&self) -> &Path {
        &self.states
    }
}

impl Drop for AnvilProcess {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Only a watchdog that is gone already fails to be waited for, and then so is Anvil.
        let _ = self.watchdog.wait();
    }
}

/// Reports the port, then keeps reading: a full pipe would stop Anvil in the middle of a print.
fn read_output(stdout: ChildStdout, listening: oneshot::Sender<Result<u16, String>>) {
    let mut listening = Some(listening);
    let mut last_words = VecDeque::with_capacity(LAST_WORDS);
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if listening.is_none() {
            continue;
        }
        if let Some(port) = listening_port(&line) {
            if let Some(listening) = listening.take() {
                let _ = listening.send(Ok(port));
            }
            continue;
        }
        if last_words.len() == LAST_WORDS {
            last_words.pop_front();
        }
        last_words.push_back(line);
    }
    if let Some(listening) = listening {
        let _ = listening.send(Err(Vec::from(last_words).join("\n")));
    }
}

fn listening_port(line: &str) -> Option<u16> {
    line.strip_prefix("Listening on ")?.trim().rsplit_once(':')?.1.parse().ok()
}
