//! What process groups take of the machine, as Linux tells it in `/proc`; other systems tell nothing here.
//!
//! Memory is the proportional set size: of a page that several processes share, each counts its part, so that the sum
//! over forked workers is what the machine would get back. Where that cannot be read (it is no cheap question, and a
//! hardened kernel refuses it), it is the resident set size, which counts a shared page for each.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;
use std::time::Duration;

/// What a group, or a process, takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Bytes in memory.
    pub(crate) memory: u64,
    /// Time of processors, in the program and in the kernel, of children that were waited for as well.
    pub(crate) cpu: Duration,
}

/// What this process itself takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnUsage {
    /// Bytes in memory (resident set size).
    pub resident_memory: u64,
    /// Bytes of address space.
    pub virtual_memory: u64,
    /// Time of processors, in the program and in the kernel.
    pub cpu: Duration,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// How many may be open; `None` without a limit.
    pub max_files: Option<u64>,
}

impl OwnUsage {
    /// What this process takes now; `None` where the system does not tell. Reads a few files of the kernel's.
    pub fn read() -> Option<Self> {
        let process = Path::new("/proc/self");
        let stat = Stat::parse(&fs::read_to_string(process.join("stat")).ok()?)?;
        let limits = fs::read_to_string(process.join("limits")).ok()?;
        Some(Self {
            resident_memory: stat.resident,
            virtual_memory: stat.virtual_memory,
            cpu: stat.own_cpu,
            threads: stat.threads,
            // The one that reads the folder is not counted.
            open_files: (fs::read_dir(process.join("fd")).ok()?.count() as u64).saturating_sub(1),
            max_files: open_files_limit(&limits),
        })
    }
}

/// What the groups of these leaders take; one that has no process, or cannot be seen, is left out. Blocks: it looks
/// through all processes of the machine.
pub(crate) fn of_groups(leaders: &BTreeSet<i32>) -> HashMap<i32, Usage> {
    let mut groups: HashMap<i32, Usage> = HashMap::new();
    let Ok(processes) = fs::read_dir("/proc") else {
        return groups;
    };
    let processes = processes.filter_map(Result::ok);
    let numbered =
        processes.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    for entry in numbered {
        let process = entry.path();
        // One that has ended meanwhile takes nothing.
        let stat = fs::read_to_string(process.join("stat"));
        let Some(stat) = stat.ok().and_then(|stat| Stat::parse(&stat)) else {
            continue;
        };
        if leaders.contains(&stat.group) {
            let rollup = fs::read_to_string(process.join("smaps_rollup"));
            let memory = rollup.ok().and_then(|rollup| proportional(&rollup));
            let usage = groups.entry(stat.group).or_default();
            usage.memory += memory.unwrap_or(stat.resident);
            usage.cpu += stat.cpu;
        }
    }
    groups
}

/// Of `/proc/…/stat` (proc(5)), what is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    group: i32,
    own_cpu: Duration,
    /// With that of children that were waited for.
    cpu: Duration,
    threads: u64,
    virtual_memory: u64,
    resident: u64,
}

impl Stat {
    fn parse(line: &str) -> Option<Self> {
        // The program's name comes second, in brackets, and may hold brackets and spaces itself.
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // The manual counts from one, and the number and the name are cut off.
        let number = |place: usize| fields.get(place - 3)?.parse::<u64>().ok();
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let time = |ticked: u64| Duration::from_millis(ticked.saturating_mul(1000) / ticks);
        let own_cpu = time(number(14)? + number(15)?);
        Some(Self {
            group: fields.get(5 - 3)?.parse().ok()?,
            own_cpu,
            cpu: own_cpu + time(number(16)? + number(17)?),
            threads: number(20)?,
            virtual_memory: number(23)?,
            resident: number(24)?.saturating_mul(rustix::param::page_size() as u64),
        })
    }
}

/// Bytes, of `/proc/…/smaps_rollup`.
fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The soft limit, of `/proc/…/limits`.
fn open_files_limit(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_have_any_name() {
        let line = "41 (a) b (c) S 1 40 40 0 -1 4194560 900 10 0 0 150 50 200 100 20 0 7 0 123456 1048576 3 0 0";
        let stat = Stat::parse(line).unwrap();
        let ticks = rustix::param::clock_ticks_per_second();
        assert_eq!(stat.group, 40);
        assert_eq!(stat.own_cpu, Duration::from_millis(200 * 1000 / ticks));
        assert_eq!(
            stat.cpu,
            stat.own_cpu + Duration::from_millis(300 * 1000 / ticks)
        );
        assert_eq!((stat.threads, stat.virtual_memory), (7, 1 << 20));
        assert_eq!(stat.resident, 3 * rustix::param::page_size() as u64);
        assert_eq!(Stat::parse("41 (cut off) S 1"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn memory_and_limits_are_read_as_the_kernel_writes_them() {
        let rollup = "55aa-7ffc ---p 00000000 00:00 0 [rollup]\nRss:  9000 kB\nPss:  1234 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(proportional(rollup), Some(1234 * 1024));
        assert_eq!(proportional("Rss: 1 kB\n"), None);
        let limits = "Limit Soft Limit Hard Limit Units\nMax open files            1024                 4096                 files\n";
        assert_eq!(open_files_limit(limits), Some(1024));
        let unlimited =
            "Max open files            unlimited            unlimited            files\n";
        assert_eq!(open_files_limit(unlimited), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_and_its_group_are_seen() {
        let own = OwnUsage::read().unwrap();
        assert!(own.resident_memory > 1 << 20, "{own:?}");
        assert!(own.virtual_memory > own.resident_memory, "{own:?}");
        assert!(own.threads > 0 && own.open_files > 2, "{own:?}");
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        let usage = of_groups(&[group, i32::MAX].into());
        assert!(usage[&group].memory > 1 << 20, "{usage:?}");
        assert!(!usage.contains_key(&i32::MAX));
    }
}
