//! The memory that several processes take together, as if nobody else ran: comparable between those who share the files of an
//! environment with others on the same machine, and those who have one of their own.

use std::collections::BTreeMap;

/// A part of a file, by device, inode and offset.
type Part = (String, u64, String);

/// Adds up what `/proc/…/smaps` says of each process.
#[derive(Debug, Default)]
pub(crate) struct Footprint {
    /// Bytes that only one process has, and shares of what a process has in common with those that it was forked from.
    own: u64,
    /// Of each part of a file, the most shared bytes that a process has resident: what several map is there once.
    shared: BTreeMap<Part, u64>,
}

/// One mapping, in bytes.
#[derive(Default)]
struct Mapping {
    /// `None` for memory of no file.
    part: Option<Part>,
    proportional: u64,
    private: u64,
    shared: u64,
}

impl Footprint {
    /// Adds a process.
    pub(crate) fn add(&mut self, smaps: &str) {
        let mut mapping = Mapping::default();
        for line in smaps.lines() {
            let mut words = line.split_ascii_whitespace();
            let Some(first) = words.next() else { continue };
            let Some(name) = first.strip_suffix(':') else {
                self.count(std::mem::replace(&mut mapping, Mapping::begin(line)));
                continue;
            };
            let kilobytes = words.next().and_then(|number| number.parse::<u64>().ok());
            let bytes = kilobytes.unwrap_or_default() * 1024;
            match name {
                "Pss" => mapping.proportional += bytes,
                "Private_Clean" | "Private_Dirty" => mapping.private += bytes,
                "Shared_Clean" | "Shared_Dirty" => mapping.shared += bytes,
                _ => {}
            }
        }
        self.count(mapping);
    }

    /// All of them together, in bytes.
    pub(crate) fn total(&self) -> u64 {
        self.own + self.shared.values().sum::<u64>()
    }

    fn count(&mut self, mapping: Mapping) {
        let Some(part) = mapping.part else {
            // Shared with relatives only, who are counted with it.
            self.own += mapping.proportional;
            return;
        };
        self.own += mapping.private;
        let known = self.shared.entry(part).or_default();
        *known = mapping.shared.max(*known);
    }
}

impl Mapping {
    /// From its first line: `from-to rights offset device inode path`.
    fn begin(line: &str) -> Self {
        let mut words = line.split_ascii_whitespace().skip(2);
        let mut next = || words.next().unwrap_or_default();
        let (offset, device, inode) = (next(), next(), next());
        let inode: u64 = inode.parse().unwrap_or_default();
        Self {
            part: (inode != 0).then(|| (device.to_owned(), inode, offset.to_owned())),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(file: &str, [pss, shared, private]: [u64; 3]) -> String {
        format!(
            "7f00-7f10 r-xp {file}\nSize: 999 kB\nRss: {} kB\nPss: {pss} kB\nPss_Dirty: 999 kB\n\
             Shared_Clean: {shared} kB\nShared_Dirty: 0 kB\nPrivate_Clean: {private} kB\nPrivate_Dirty: 1 kB\n\
             VmFlags: rd ex mr\n",
            shared + private + 1
        )
    }

    #[test]
    fn what_others_have_open_as_well_is_counted_whole_and_once() {
        let mut footprint = Footprint::default();
        // Two processes, which share a library with others on the machine, and pages of a fork with one another.
        let library = "00001000 fe:00 42 /lib/with a name.so";
        let memory = "00000000 00:00 0";
        footprint.add(&(mapping(library, [20, 100, 5]) + &mapping(memory, [50, 80, 9])));
        footprint.add(&(mapping(library, [15, 60, 0]) + &mapping(memory, [51, 80, 10])));
        // 5 + 1 and 0 + 1 are private; of the library's shared pages there are 100.
        assert_eq!(footprint.total(), (6 + 1 + 100 + 50 + 51) * 1024);
        // Another part of it is other memory.
        footprint.add(&mapping("00009000 fe:00 42 /lib/with a name.so", [1, 3, 0]));
        assert_eq!(footprint.total(), (6 + 1 + 100 + 50 + 51 + 3 + 1) * 1024);
    }
}
