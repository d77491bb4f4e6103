//! What processes take of the machine, as the kernel tells in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::param::clock_ticks_per_second;

use crate::footprint::Footprint;

/// Writing this to `clear_refs` forgets the peak of the resident memory.
const FORGET_PEAK: &str = "5";

/// Whose usage counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// These processes and no others.
    Alone(Vec<u32>),
    /// A process and all that descend from it.
    Tree(u32),
}

/// What processes have taken so far, or take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In user and kernel mode, of processes that have ended and were waited for as well. Exact to the kernel's tick, 10
    /// milliseconds as a rule.
    pub cpu: Duration,
    /// Bytes of resident memory, those that several processes share counted in equal parts (PSS): with whomever else on the
    /// machine has the same files open.
    pub proportional: u64,
    /// Bytes of resident memory as if nobody else ran: what these processes share is counted once, what they share with
    /// others whole.
    pub together: u64,
    /// Bytes of resident memory (RSS), shared ones counted for each process.
    pub resident: u64,
    /// The most resident bytes of each process since [`Scope::forget_peaks`], added up.
    pub peak: u64,
    /// How many processes there are.
    pub processes: usize,
}

/// One process's line in `/proc/…/stat`, as far as it is of interest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
    ticks_of_ended_children: u64,
}

/// CPU time of this process.
pub fn own_cpu() -> Result<Duration> {
    let stat = Stat::read(std::process::id()).context("read /proc/self/stat")?;
    Ok(ticks(stat.ticks))
}

impl Scope {
    /// What they take. Processes that end meanwhile are left out.
    pub fn usage(&self) -> Result<Usage> {
        let mut usage = Usage::default();
        let mut footprint = Footprint::default();
        for id in self.processes()? {
            let Some(stat) = Stat::read(id) else { continue };
            let with_children = matches!(self, Self::Tree(_));
            let of_children = if with_children {
                stat.ticks_of_ended_children
            } else {
                0
            };
            usage.cpu += ticks(stat.ticks + of_children);
            usage.processes += 1;
            let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
            usage.resident += kilobytes(&status, "VmRSS:");
            usage.peak += kilobytes(&status, "VmHWM:");
            let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
            usage.proportional += kilobytes(&rollup, "Pss:");
            let smaps = fs::read_to_string(format!("/proc/{id}/smaps")).unwrap_or_default();
            footprint.add(&smaps);
        }
        usage.together = footprint.total();
        Ok(usage)
    }

    /// CPU time alone, which costs less to ask for.
    pub fn cpu(&self) -> Result<Duration> {
        let with_children = matches!(self, Self::Tree(_));
        let stats = self.processes()?.into_iter().filter_map(Stat::read);
        let sum = stats.map(|stat| {
            let of_children = if with_children {
                stat.ticks_of_ended_children
            } else {
                0
            };
            stat.ticks + of_children
        });
        Ok(ticks(sum.sum()))
    }

    /// Lets [`Usage::peak`] begin anew, where the kernel allows it.
    pub fn forget_peaks(&self) -> Result<()> {
        for id in self.processes()? {
            // It may have ended.
            let _ = fs::write(format!("/proc/{id}/clear_refs"), FORGET_PEAK);
        }
        Ok(())
    }

    fn processes(&self) -> Result<Vec<u32>> {
        let root = match self {
            Self::Alone(ids) => return Ok(ids.clone()),
            Self::Tree(root) => *root,
        };
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in fs::read_dir("/proc").context("list /proc")? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(stat) = Stat::read(id) {
                children.entry(stat.parent).or_default().push(id);
            }
        }
        let mut found = vec![root];
        let mut next = 0;
        while let Some(id) = found.get(next) {
            found.extend(children.remove(id).unwrap_or_default());
            next += 1;
        }
        Ok(found)
    }
}

impl Stat {
    fn read(id: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name may hold anything, parentheses and spaces as well.
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let number = |place: usize| -> Option<u64> { fields.get(place)?.parse().ok() };
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            ticks: number(11)? + number(12)?,
            ticks_of_ended_children: number(13)? + number(14)?,
        })
    }
}

fn ticks(count: u64) -> Duration {
    let second = clock_ticks_per_second().max(1);
    Duration::from_nanos(count * (1_000_000_000 / second))
}

/// The number of a line `Name:   123 kB`, in bytes; zero where there is none.
fn kilobytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_shifts_no_field() {
        let line = "42 (a) b (c)) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 5 6 7";
        let stat = Stat {
            parent: 7,
            ticks: 33,
            ticks_of_ended_children: 77,
        };
        assert_eq!(Stat::parse(line), Some(stat));
    }

    #[test]
    fn this_process_takes_memory_and_its_tree_holds_it() {
        let own = std::process::id();
        for scope in [Scope::Alone(vec![own]), Scope::Tree(own)] {
            let usage = scope.usage().unwrap();
            assert!(usage.processes >= 1, "{usage:?}");
            assert!(
                usage.resident > 0 && usage.peak >= usage.resident,
                "{usage:?}"
            );
            assert!(usage.proportional > 0, "{usage:?}");
            // Other tests go on meanwhile: nothing is compared to the byte.
            assert!(usage.together > usage.proportional / 2, "{usage:?}");
        }
    }
}
