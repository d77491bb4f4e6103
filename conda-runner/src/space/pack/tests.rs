//! Packed environments that somebody meant badly, or that were damaged on their way.

use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::digest::{self, Fingerprint, Kind};
use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An archive as an export writes it, or nearly.
struct Archive {
    folder: tempfile::TempDir,
    manifest: serde_json::Value,
    entries: Vec<(String, EntryType, Vec<u8>)>,
    has_trailer: bool,
}

impl Archive {
    /// A good one.
    fn new() -> Self {
        let place = format!("/old/environments/{KEY}");
        let packed = Packed::new(KEY, Path::new(&place), "{\"manager\": \"conda\"}", None);
        let archive = Self {
            folder: tempfile::tempdir().unwrap(),
            manifest: serde_json::to_value(Manifest::new(vec![packed], 1000)).unwrap(),
            entries: Vec::new(),
            has_trailer: true,
        };
        archive.with(
            &format!("{KEY}/bin/python"),
            EntryType::Regular,
            "#!/bin/sh\n",
        )
    }

    /// One more entry: a link's content is its target.
    fn with(mut self, name: &str, kind: EntryType, content: &str) -> Self {
        let content = content.as_bytes().to_vec();
        self.entries.push((name.to_owned(), kind, content));
        self
    }

    fn file(self, name: &str) -> Self {
        self.with(name, EntryType::Regular, "content")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.with(&format!("{KEY}/{name}"), EntryType::Symlink, target)
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("packed")
    }

    /// What is outside of the place where it is unpacked.
    fn outside(&self) -> PathBuf {
        self.folder.path().join("outside")
    }

    fn write(&self) {
        let file = std::fs::File::create(self.path()).unwrap();
        let mut tar = Builder::new(zstd::Encoder::new(file, 0).unwrap());
        let mut fingerprint = Fingerprint::default();
        let manifest = serde_json::to_vec(&self.manifest).unwrap();
        let first = (manifest::NAME.to_owned(), EntryType::Regular, manifest);
        for (name, kind, content) in std::iter::once(&first).chain(&self.entries) {
            let (told, mode) = match kind {
                EntryType::Directory => (Kind::Folder, 0o755),
                EntryType::Symlink => (Kind::Link, 0o777),
                _ => (Kind::File, 0o644),
            };
            fingerprint.begin(name.as_bytes(), told, mode, content.len() as u64);
            fingerprint.update(content);
            append(&mut tar, name, *kind, mode, content);
        }
        let trailer = serde_json::to_vec(&fingerprint.trailer()).unwrap();
        if self.has_trailer {
            append(&mut tar, digest::NAME, EntryType::Regular, 0o644, &trailer);
        }
        tar.into_inner().unwrap().finish().unwrap();
    }

    /// Reads it as an import does, below `environments`.
    fn read(&self) -> Result<PathBuf, String> {
        let root = self.folder.path().join("environments");
        let whole = root.join(".staging/whole");
        std::fs::create_dir_all(root.join(".staging")).unwrap();
        let _ = std::fs::remove_dir_all(&whole);
        let manifest = read::manifest(&self.path())?;
        read::unpack(&self.path(), &manifest, 0, &root, &whole)?;
        Ok(whole)
    }

    fn refused(&self) -> String {
        self.write();
        std::fs::create_dir_all(self.outside()).unwrap();
        let reason = self.read().unwrap_err();
        assert_eq!(std::fs::read_dir(self.outside()).unwrap().count(), 0);
        reason.replace(&self.folder.path().display().to_string(), "FOLDER")
    }
}

/// Writes names that no honest library would.
fn append<W: Write>(tar: &mut Builder<W>, name: &str, kind: EntryType, mode: u32, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_mtime(1_000_000_000);
    let field = &mut header.as_gnu_mut().unwrap().name;
    field[..name.len()].copy_from_slice(name.as_bytes());
    let has_target = matches!(kind, EntryType::Symlink | EntryType::Link);
    if has_target {
        header.set_link_name_literal(content).unwrap();
        header.set_size(0);
    } else {
        header.set_size(content.len() as u64);
    }
    header.set_cksum();
    tar.append(&header, if has_target { &[] } else { content })
        .unwrap();
}

#[test]
fn a_good_one_is_unpacked_with_its_modes_times_and_links() {
    let archive = Archive::new()
        .with(&format!("{KEY}/lib"), EntryType::Directory, "")
        .file(&format!("{KEY}/lib/deep/file"))
        .link("lib64", "lib")
        .link("share", &format!("/old/environments/{KEY}/lib"));
    archive.write();
    let whole = archive.read().unwrap();
    let file = whole.join("lib64/deep/file");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "content");
    let modified = file.metadata().unwrap().modified().unwrap();
    let since = modified.duration_since(std::time::SystemTime::UNIX_EPOCH);
    assert_eq!(since.unwrap().as_secs(), 1_000_000_000);
    let share = std::fs::read_link(whole.join("share")).unwrap();
    let new = archive.folder.path().join("environments").join(KEY);
    assert_eq!(share, new.join("lib"));
}

#[test]
fn names_that_are_not_below_the_environment_are_refused_and_nothing_is_written() {
    for name in [
        "../outside/file".to_owned(),
        format!("{KEY}/../../../outside/file"),
        format!("{KEY}/lib/../../file"),
        "/tmp/file".to_owned(),
        format!("/{KEY}/file"),
        format!("./{KEY}/file"),
        KEY.to_owned(),
        "fedcba9876543210fedcba9876543210/file".to_owned(),
        format!("{KEY}/.sluicegate.json"),
    ] {
        let archive = Archive::new().file(&name);
        let expected = format!("{name:?} is no name of a file in an environment");
        assert_eq!(archive.refused(), expected);
    }
}

#[test]
fn links_that_lead_out_are_refused_and_never_written_through() {
    for target in [
        "../../../outside",
        "/etc",
        "..",
        "lib/../..",
        "/old/environments",
        "/old/environments/../x",
    ] {
        let archive = Archive::new().link("way", target);
        assert_eq!(
            archive.refused(),
            format!("the link way to {target} leads out of the environment")
        );
    }
    // A link, and a file behind it: whichever comes first, the file is not written to where the link leads.
    let behind = Archive::new();
    let outside = behind.outside().display().to_string();
    let refused = behind
        .link("way", &outside)
        .file(&format!("{KEY}/way/file"))
        .refused();
    assert!(
        refused.contains("leads out of the environment"),
        "{refused}"
    );
    let inside = Archive::new()
        .link("way", "bin")
        .file(&format!("{KEY}/way/file"));
    assert!(inside.refused().starts_with("way: File exists"));
    let twice = Archive::new().file(&format!("{KEY}/bin/python"));
    assert!(twice.refused().contains("File exists"));
}

#[test]
fn devices_and_links_to_names_are_refused() {
    for kind in [
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Link,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let refused = Archive::new()
            .with(&format!("{KEY}/odd"), kind, "")
            .refused();
        assert!(
            refused.contains("is neither a file nor a folder"),
            "{refused}"
        );
    }
}

#[test]
fn another_platform_another_format_and_anything_else_are_refused_with_a_sentence() {
    let changed = |change: fn(&mut serde_json::Value)| {
        let mut archive = Archive::new();
        change(&mut archive.manifest);
        archive.refused()
    };
    let here = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
    assert_eq!(
        changed(|manifest| manifest["platform"] = "plan9-mips".into()),
        format!("it was packed on plan9-mips, and this machine is {here}")
    );
    assert_eq!(
        changed(|manifest| manifest["format"] = 7.into()),
        "it was packed in format 7 by another version of this program, which reads format 1"
    );
    let changes: [fn(&mut serde_json::Value); 7] = [
        |manifest| manifest["environments"] = serde_json::json!([]),
        |manifest| manifest["environments"][0]["key"] = "../x".into(),
        |manifest| manifest["environments"][0]["places"] = serde_json::json!(["/"]),
        |manifest| manifest["environments"][0]["places"] = serde_json::json!([]),
        |manifest| manifest["environments"][0]["marker"] = "no JSON".into(),
        |manifest| manifest["environments"][0]["marker"] = "{\"base\": \"x\"}".into(),
        |manifest| *manifest = serde_json::Value::Null,
    ];
    for change in changes {
        changed(change);
    }
    let other = Archive::new();
    std::fs::write(other.path(), "PK\x03\x04").unwrap();
    let refused = other.read().unwrap_err();
    assert!(
        refused.starts_with("it is no packed environment"),
        "{refused}"
    );
    let mut tar =
        Builder::new(zstd::Encoder::new(std::fs::File::create(other.path()).unwrap(), 0).unwrap());
    append(&mut tar, "file", EntryType::Regular, 0o644, b"content");
    tar.into_inner().unwrap().finish().unwrap();
    assert_eq!(
        other.read().unwrap_err(),
        "it is no packed environment: it was not written by an export"
    );
    std::fs::remove_file(other.path()).unwrap();
    assert!(other.read().unwrap_err().contains("No such file"));
}

#[test]
fn what_was_cut_short_at_any_byte_or_has_another_digest_does_not_count() {
    let archive = Archive::new().file(&format!("{KEY}/lib/file"));
    archive.write();
    let whole = std::fs::read(archive.path()).unwrap();
    for length in (0..whole.len()).step_by(7) {
        std::fs::write(archive.path(), &whole[..length]).unwrap();
        let Err(_) = archive.read() else {
            // Only what follows the digest may be missing.
            assert!(length + 64 > whole.len(), "{length} of {}", whole.len());
            continue;
        };
    }
    let mut other = Archive::new();
    other.has_trailer = false;
    assert_eq!(other.refused(), "it is not complete: its end is missing");
    // A digest of something else.
    let trailer = serde_json::to_string(&Fingerprint::default().trailer()).unwrap();
    let other = other.with(digest::NAME, EntryType::Regular, &trailer);
    assert_eq!(
        other.refused(),
        "its content is not what was packed: its digest is another one"
    );
}

#[test]
fn more_than_was_announced_is_refused() {
    let mut archive = Archive::new().with(
        &format!("{KEY}/bomb"),
        EntryType::Regular,
        &"0".repeat(100_000),
    );
    assert_eq!(
        archive.refused(),
        "there is more in it than it says at its beginning"
    );
    archive.entries.pop();
    // A name of a megabyte, most of it air.
    let archive = archive.with("x", EntryType::GNULongName, &"n".repeat(1 << 20));
    assert_eq!(
        archive.refused(),
        "it describes itself with more than anybody could mean"
    );
}

#[test]
fn an_interpreter_of_the_machine_has_to_be_there_and_to_be_named() {
    let interpreter = "/nowhere/bin/python3.11";
    let mut archive = Archive::new().link("bin/python3", interpreter);
    assert_eq!(
        archive.refused(),
        format!(
            "the link bin/python3 leads to {interpreter}, which it does not name as its interpreter"
        )
    );
    archive.manifest["environments"][0]["interpreters"] = serde_json::json!([interpreter]);
    assert_eq!(
        archive.refused(),
        format!(
            "it uses the Python {interpreter} of the machine, which is not there on this one: install it at that \
             place, or export an environment that was built with env_manager conda"
        )
    );
    archive.manifest["environments"][0]["interpreters"] = serde_json::json!(["/bin/sh"]);
    archive.entries[1].2 = b"/bin/sh".to_vec();
    archive.write();
    let whole = archive.read().unwrap();
    let link = std::fs::read_link(whole.join("bin/python3")).unwrap();
    assert_eq!(link, Path::new("/bin/sh"));
}
