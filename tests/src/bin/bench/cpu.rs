//! CPU time of this process and everything that it started.

use std::{collections::BTreeMap, fs, time::Duration};

use crate::Problem;

/// The unit of times in `/proc`, on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Of a line of `/proc/<pid>/stat`: its parent, its own ticks, and those of its children that ended.
fn read(stat: &str) -> Option<(u32, u64, u64)> {
    // The name may have spaces and brackets of its own.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let own = ticks(11)?.checked_add(ticks(12)?)?;
    let ended = ticks(13)?.checked_add(ticks(14)?)?;
    Some((fields.get(1)?.parse().ok()?, own, ended))
}

/// What this process, those it started and theirs have used. Children that ended count with who waited for them.
pub(crate) fn family_time() -> Result<Duration, Problem> {
    let mut all: BTreeMap<u32, (u32, u64, u64)> = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that ended meanwhile is counted with its parent.
        let told = fs::read_to_string(format!("/proc/{pid}/stat")).ok();
        all.extend(told.as_deref().and_then(read).map(|told| (pid, told)));
    }
    let own = std::process::id();
    let is_family = |pid: u32| {
        let mut at = pid;
        while at != own {
            match all.get(&at) {
                Some((parent, ..)) if *parent != 0 => at = *parent,
                Some(_) | None => return false,
            }
        }
        true
    };
    let ticks: u64 = all
        .iter()
        .filter(|(pid, _)| is_family(**pid))
        .map(|(_, (_, own, ended))| own + ended)
        .sum();
    Ok(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}
