//! Processes that are to die, to be stopped, or to run beside each other.

use std::{os::unix::process::ExitStatusExt as _, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;

use super::{Gateway, PATIENCE, inspay_binary};

/// Names the fail point of a process; `list` makes it print all of them.
const FAIL_POINT: &str = "INSPAY_FAIL_POINT";

/// Every fail point of the binary, as `call:place`.
///
/// # Panics
///
/// If the binary has none: then it was built for its users.
pub async fn fail_points() -> Vec<String> {
    let listed = Command::new(inspay_binary()).arg("serve").env(FAIL_POINT, "list").output();
    let listed = listed.await.expect("the binary starts");
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let names: Vec<String> =
        String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned).collect();
    assert!(names.len() > 100, "a build with debug assertions has fail points: {names:?}");
    names
}

impl Gateway {
    /// Starts the process without waiting for it to listen. With a fail point, it is to die by itself.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn launch_unheard(&mut self, fail_point: Option<&str>) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("gateway.log"))
            .expect("a log");
        let mut command = Command::new(inspay_binary());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--until-stdin-closes", "--log", "info"])
            .current_dir(self.folder.path())
            .env("DATABASE_URL", &self.database_url)
            .env_remove("INSPAY_SETTINGS")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(point) = fail_point {
            command.env(FAIL_POINT, point);
        }
        self.child = Some(command.spawn().expect("the gateway starts"));
    }

    /// As [`Self::resume`], with a fail point armed: it is to die once it is of use.
    ///
    /// # Panics
    ///
    /// If it does not come to listen.
    pub async fn resume_to_die(&mut self, fail_point: &str) {
        self.launch(&[], &[(FAIL_POINT, fail_point)]).await;
    }

    /// As [`Self::resume`], but this process has these roles only.
    ///
    /// # Panics
    ///
    /// If it does not come to listen.
    pub async fn resume_as(&mut self, roles: &str) {
        self.launch(&["--roles", roles], &[]).await;
    }

    /// Whether the process has died by SIGKILL.
    ///
    /// # Panics
    ///
    /// If it has ended in any other way.
    pub fn has_died(&mut self) -> bool {
        let Some(child) = &mut self.child else { return true };
        let Some(status) = child.try_wait().expect("can be asked") else { return false };
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}\n{}", self.log());
        self.child = None;
        true
    }

    /// Asks the process to stop by closing its standard input; does not wait for it.
    pub fn ask_to_stop(&mut self) {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
        }
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub async fn stop(&mut self) {
        self.ask_to_stop();
        if let Some(mut child) = self.child.take() {
            let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("in time");
            assert!(ended.expect("it ends").success(), "{}", self.log());
        }
    }

    /// Asks of a process that may die meanwhile.
    pub async fn try_get(&self, path: &str) {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(&self.key);
        if let Err(error) = request.send().await {
            assert!(error.is_request() || error.is_body() || error.is_connect(), "{error:?}");
        }
    }

    /// Asks for what the process dies of by SIGKILL instead of answering.
    ///
    /// # Panics
    ///
    /// If it answers, or ends in any other way.
    pub async fn post_to_die(&mut self, path: &str, body: &Value) {
        if let Ok(answer) = self.posting(path, body).send().await {
            panic!("{}: {}", answer.status(), answer.text().await.unwrap_or_default());
        }
        let mut child = self.child.take().expect("it runs");
        // Waiting would close its standard input, which asks it to stop.
        let input = child.stdin.take();
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await.expect("in time");
        drop(input);
        let status = ended.expect("it ends");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}\n{}", self.log());
    }

    /// How many steps of settlement have waited since the start for somebody to find the stored window on the chain.
    ///
    /// # Panics
    ///
    /// If the numbers cannot be read.
    pub async fn unchecked_steps(&self) -> u64 {
        let request = self.client.get(format!("{}/metrics", self.base)).send();
        let text = request.await.expect("an answer").text().await.expect("a text");
        let steps = text
            .lines()
            .find_map(|line| line.strip_prefix("inspay_settlement_unchecked_steps_total "));
        steps.map_or(0, |steps| steps.parse().expect("a number"))
    }

    /// Takes the processor from the process, or gives it back.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub fn pause(&self, pause: bool) {
        let id = self.process_id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let signal = if pause { Signal::STOP } else { Signal::CONT };
        kill_process(id.expect("a process"), signal).expect("is signalled");
    }

    /// Another gateway on the same settings, database and key.
    ///
    /// # Panics
    ///
    /// If it does not come to listen.
    pub async fn twin(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = self.folder.path().join("inspay.toml");
        std::fs::copy(settings, folder.path().join("inspay.toml")).expect("settings");
        let mut twin = Self {
            folder,
            database_url: self.database_url.clone(),
            key: self.key.clone(),
            base: String::new(),
            client: self.client.clone(),
            child: None,
            requests: self.requests.saturating_add(1_000_000),
        };
        twin.resume().await;
        twin
    }
}
