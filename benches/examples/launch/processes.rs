//! What a process takes of the memory, together with all that it has started.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

/// Megabytes (2^20 bytes) of the proportional set size of `root` and its descendants.
pub(crate) fn memory_of_tree(root: u32) -> Result<f64> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent_of(process) {
            children.entry(parent).or_default().push(process);
        }
    }
    let (mut tree, mut left) = (BTreeSet::new(), vec![root]);
    while let Some(process) = left.pop() {
        if tree.insert(process) {
            left.extend(children.get(&process).into_iter().flatten());
        }
    }
    proportional(root).context("the memory of the process can be read")?;
    Ok(tree.into_iter().filter_map(proportional).sum())
}

fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

/// `None` if it has just ended.
fn proportional(process: u32) -> Option<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    Some(kilobytes / 1024.0)
}
