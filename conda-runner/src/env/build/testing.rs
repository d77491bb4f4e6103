//! A machine for tests of the parts of a build: folders, a log, scripts in the place of programs.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serving_core::Progress;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::{Report, Site, Wanted, installed};
use crate::process::host::Host;
use crate::process::logs::{Log, LogWriter};

pub(crate) struct Machine {
    folder: TempDir,
    log: Log,
}

impl Machine {
    /// With an empty folder of a model, and one to build in.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["model", "staging", "environments"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let log = folder.path().join("build.log");
        let log = LogWriter::start(1 << 20).unwrap().log(log);
        Self { folder, log }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A shell script that can be run.
    pub(crate) fn program(&self, name: &str, script: &str) -> PathBuf {
        let path = self.write(name, &format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// All that the log says.
    pub(crate) async fn log(&self) -> String {
        self.log.written().await;
        self.read("build.log")
    }

    pub(crate) fn report(&self) -> (Report, watch::Receiver<Option<Arc<str>>>) {
        let (progress, steps) = Progress::channel();
        (Report::new(self.log.clone(), progress), steps)
    }

    /// A build that puts an environment to `environments/key`.
    pub(crate) fn site(&self) -> (Site, watch::Receiver<Option<Arc<str>>>) {
        let (report, steps) = self.report();
        let site = Site {
            prefix: self.path("staging/whole"),
            place: self.path("environments/key"),
            folder: self.path("model"),
            host: host_with(&[]),
            report,
        };
        (site, steps)
    }

    /// Some interpreter of the machine, one that can make environments. Whoever develops this has one.
    pub(crate) async fn python(&self) -> PathBuf {
        let wanted = Wanted {
            version: None,
            venv: true,
        };
        let found = installed(&host_with(&[]), wanted, &self.report().0).await;
        found.expect("these tests need a Python 3.8 or later with its modules venv and ensurepip")
    }
}

/// With the machine's own programs, and with further variables, which go before those of the machine.
#[expect(
    clippy::disallowed_methods,
    reason = "tests need the machine's programs"
)]
pub(crate) fn host_with(more: &[(&str, &str)]) -> Host {
    let mut all: Vec<(String, String)> = more
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    for name in ["PATH", "HOME"] {
        if let (None, Ok(value)) = (
            all.iter().find(|(known, _)| known == name),
            std::env::var(name),
        ) {
            all.push((name.to_owned(), value));
        }
    }
    Host::new(&all, TaskTracker::new())
}

/// Puts the wheel of a package with one module and one program, `NAME-program`, into `folder`.
pub(crate) fn wheel(folder: &Path, name: &str) -> PathBuf {
    let metadata = format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n");
    let tags = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let entry = format!("[console_scripts]\n{name}-program = {name}:main\n");
    let module = "import sys\n\ndef main():\n    print(sys.prefix)\n";
    let info = format!("{name}-1.0.dist-info");
    let record = format!(
        "{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/entry_points.txt,,\n{info}/RECORD,,\n"
    );
    let files = [
        (format!("{name}.py"), module),
        (format!("{info}/METADATA"), &metadata),
        (format!("{info}/WHEEL"), tags),
        (format!("{info}/entry_points.txt"), &entry),
        (format!("{info}/RECORD"), &record),
    ];
    let path = folder.join(format!("{name}-1.0-py3-none-any.whl"));
    std::fs::write(&path, zip(&files)).unwrap();
    path
}

/// An archive of files that are stored as they are.
fn zip(files: &[(String, &str)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let offset = u32::try_from(archive.len()).unwrap();
        let length = u32::try_from(text.len()).unwrap();
        let mut common = Vec::new();
        // Version, flags, method, time, date.
        for short in [20_u16, 0, 0, 0, 0x21] {
            common.extend(short.to_le_bytes());
        }
        for long in [crc32(text.as_bytes()), length, length] {
            common.extend(long.to_le_bytes());
        }
        common.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
        common.extend([0, 0]);
        archive.write_all(b"PK\x03\x04").unwrap();
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(text.as_bytes());
        directory.extend(b"PK\x01\x02");
        directory.extend(20_u16.to_le_bytes());
        directory.extend(&common);
        // Comment, disk, attributes.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (start, size) = (archive.len(), directory.len());
    archive.extend(directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        archive.extend(u16::try_from(files.len()).unwrap().to_le_bytes());
    }
    archive.extend(u32::try_from(size).unwrap().to_le_bytes());
    archive.extend(u32::try_from(start).unwrap().to_le_bytes());
    archive.extend([0, 0]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let table = |byte: u32| {
        (0..8).fold(byte, |rest, _| {
            (rest >> 1) ^ (0xEDB8_8320 & (rest & 1).wrapping_neg())
        })
    };
    !bytes.iter().fold(!0, |rest, byte| {
        (rest >> 8) ^ table((rest ^ u32::from(*byte)) & 0xFF)
    })
}
