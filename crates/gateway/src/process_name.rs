//! This process by a name that others can tell it by, and tell it to be dead by.
//!
//! `host/pid/start/boot/namespace`: a process is known to have ended only where it ran under the same boot of the same
//! machine and among the same processes as the one that asks. Of any other nothing is said.

use std::{fs, process};

/// Takes the place of what this system does not tell.
const UNKNOWN: &str = "-";

/// What the system says of its processes. Reading it changes nothing.
trait Processes {
    /// Host, boot and process namespace of the asker; `None` where the system does not tell boot or namespace.
    fn place(&self) -> (String, Option<(String, String)>);
    /// When the process of that number started, in the system's own units; `None` once it has ended.
    fn started(&self, pid: u32) -> Option<String>;
}

/// The system as Linux shows it.
struct Proc;

impl Processes for Proc {
    fn place(&self) -> (String, Option<(String, String)>) {
        let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned());
        let host = read("/proc/sys/kernel/hostname").unwrap_or_else(|_| UNKNOWN.to_owned());
        let boot = read("/proc/sys/kernel/random/boot_id").ok();
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let namespace = namespace.map(|name| name.display().to_string());
        (host.replace('/', "_"), boot.zip(namespace))
    }

    fn started(&self, pid: u32) -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command's name is in parentheses and may hold anything; state is the first field behind it, start the
        // twentieth.
        let (_, behind) = stat.rsplit_once(')')?;
        let mut fields = behind.split_whitespace();
        let state = fields.next()?;
        let is_dead = matches!(state, "Z" | "X" | "x");
        fields.nth(18).filter(|_| !is_dead).map(str::to_owned)
    }
}

/// The name of this process.
pub(crate) fn process_name() -> String {
    name_of(&Proc, process::id())
}

/// Whether the process of that name has certainly ended.
pub(crate) fn has_ended(name: &str) -> bool {
    is_known_to_have_ended(&Proc, name)
}

fn name_of(processes: &dyn Processes, pid: u32) -> String {
    let (host, place) = processes.place();
    let (boot, namespace) = place.unwrap_or_else(|| (UNKNOWN.to_owned(), UNKNOWN.to_owned()));
    let start = processes.started(pid).unwrap_or_else(|| UNKNOWN.to_owned());
    format!("{host}/{pid}/{start}/{boot}/{namespace}")
}

fn is_known_to_have_ended(processes: &dyn Processes, name: &str) -> bool {
    let [_, pid, start, boot, namespace] = name.split('/').collect::<Vec<_>>()[..] else {
        return false;
    };
    let (_, Some((own_boot, own_namespace))) = processes.place() else { return false };
    if (boot, namespace) != (own_boot.as_str(), own_namespace.as_str()) || start == UNKNOWN {
        return false;
    }
    let Ok(pid) = pid.parse() else { return false };
    // The number may have been given to another process since.
    processes.started(pid).is_none_or(|now| now != start)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Running(&'static [(u32, &'static str)]);

    impl Processes for Running {
        fn place(&self) -> (String, Option<(String, String)>) {
            ("here".to_owned(), Some(("boot".to_owned(), "pid:[1]".to_owned())))
        }

        fn started(&self, pid: u32) -> Option<String> {
            let running = self.0.iter().find(|(running, _)| *running == pid);
            running.map(|(_, start)| (*start).to_owned())
        }
    }

    #[test]
    fn only_a_process_of_this_place_is_known_to_have_ended() {
        let running = Running(&[(7, "70"), (8, "81")]);
        assert_eq!(name_of(&running, 7), "here/7/70/boot/pid:[1]");
        for (name, ended) in [
            ("here/7/70/boot/pid:[1]", false),
            ("here/9/90/boot/pid:[1]", true),
            // The number was given out again.
            ("here/8/80/boot/pid:[1]", true),
            ("there/9/90/boot/pid:[1]", true),
            ("here/9/90/another boot/pid:[1]", false),
            ("here/9/90/boot/pid:[2]", false),
            ("here/9/-/boot/pid:[1]", false),
            ("here/9/90/-/-", false),
            ("here/nine/90/boot/pid:[1]", false),
            ("a release without leases", false),
            ("", false),
        ] {
            assert_eq!(is_known_to_have_ended(&running, name), ended, "{name}");
        }
    }

    #[test]
    fn this_process_has_a_name_and_lives() {
        let name = process_name();
        assert!(name.contains(&format!("/{}/", process::id())), "{name}");
        assert!(!has_ended(&name), "{name}");
    }
}
