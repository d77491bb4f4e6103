//! Files name their new place afterwards, or the reason why they cannot is told.

use std::os::unix::fs::PermissionsExt;

use super::super::manifest::{Manifest, Packed};
use super::*;

const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Environment {
    folder: tempfile::TempDir,
    old: String,
}

impl Environment {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            old: format!("/old/environments/{KEY}"),
        }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.path().join(name)).unwrap()
    }

    fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Moves it below `root`; returns its new place.
    fn moved(&self, root: &str) -> Result<String, String> {
        let old = PathBuf::from(&self.old);
        let packed = Packed::new(KEY, &old, "{}", None);
        let moves = Moves::new(&Manifest::new(vec![packed], 0), Path::new(root));
        relocate(self.folder.path(), &moves)?;
        Ok(format!("{root}/{KEY}"))
    }

    /// Tells of a binary file of conda whose placeholder had so many bytes.
    fn record(&self, name: &str, placeholder: usize) {
        let record = serde_json::json!({"paths_data": {"paths": [
            {"_path": name, "file_mode": "binary", "prefix_placeholder": "p".repeat(placeholder)},
            {"_path": "other", "path_type": "hardlink"},
        ]}});
        self.write("conda-meta/tool-1.0-0.json", record.to_string());
    }

    /// `before`, the old place, `after`, and as many NULs as a placeholder of that many bytes left, plus its own.
    fn string(&self, placeholder: usize, after: &str) -> Vec<u8> {
        let mut string = format!("{}{after}", self.old).into_bytes();
        string.extend(vec![0; placeholder - self.old.len() + 1]);
        string
    }
}

#[test]
fn texts_name_the_new_place_wherever_they_named_the_old_one_and_keep_their_modes() {
    let environment = Environment::new();
    let old = &environment.old;
    environment.write(
        "bin/tool",
        format!("#!{old}/bin/python -I\nimport {old}/lib\n"),
    );
    let mode = PermissionsExt::from_mode(0o555);
    std::fs::set_permissions(environment.folder.path().join("bin/tool"), mode).unwrap();
    environment.write("pyvenv.cfg", format!("home = {old}/bin\n"));
    environment.write(
        "lib/latin",
        [format!("{old}:").as_bytes(), &[0xe9]].concat(),
    );
    environment.write("lib/plain", "nothing to see");
    let new = environment.moved("/new/place").unwrap();
    assert_eq!(
        environment.text("bin/tool"),
        format!("#!{new}/bin/python -I\nimport {new}/lib\n")
    );
    let tool = environment.folder.path().join("bin/tool");
    assert_eq!(tool.metadata().unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(
        environment.text("pyvenv.cfg"),
        format!("home = {new}/bin\n")
    );
    assert_eq!(
        environment.read("lib/latin"),
        [format!("{new}:").as_bytes(), &[0xe9]].concat()
    );
    assert_eq!(environment.text("lib/plain"), "nothing to see");
}

#[test]
fn a_script_whose_first_line_would_be_too_long_is_started_by_a_shell() {
    let environment = Environment::new();
    let old = &environment.old;
    environment.write("bin/tool", format!("#!{old}/bin/python3.11 -I\nprint(1)\n"));
    environment.write("bin/other", format!("#!/bin/sh\nexec {old}/bin/tool\n"));
    let new = environment.moved(&format!("/{}", "x".repeat(120))).unwrap();
    assert_eq!(
        environment.text("bin/tool"),
        format!("#!/bin/sh\n'''exec' \"{new}/bin/python3.11\" -I \"$0\" \"$@\"\n' '''\nprint(1)\n")
    );
    assert_eq!(
        environment.text("bin/other"),
        format!("#!/bin/sh\nexec {new}/bin/tool\n")
    );
    let spaced = Environment::new();
    spaced.write("bin/tool", format!("#!{}/bin/python\n", spaced.old));
    let new = spaced.moved("/has space").unwrap();
    assert!(
        spaced
            .text("bin/tool")
            .starts_with(&format!("#!/bin/sh\n'''exec' \"{new}/bin/python\""))
    );
}

#[test]
fn an_old_place_at_the_border_of_two_pieces_is_found() {
    for offset in [1, 10, 48] {
        let environment = Environment::new();
        let before = "x".repeat(PIECE - offset);
        environment.write("lib/long", format!("{before}{}/y", environment.old));
        let new = environment.moved("/new").unwrap();
        assert_eq!(environment.text("lib/long"), format!("{before}{new}/y"));
    }
}

#[test]
fn condas_binary_files_take_any_place_that_is_no_longer_than_their_placeholder() {
    for root in ["/n", "/much/longer/than/the/old/one/that/it/was/packed/at"] {
        let environment = Environment::new();
        let content = [
            b"\x7fELF\0start\0".to_vec(),
            environment.string(255, "/lib"),
            b"end\0".to_vec(),
        ];
        environment.write("bin/tool", content.concat());
        environment.record("bin/tool", 255);
        let new = environment.moved(root).unwrap();
        let moved = environment.read("bin/tool");
        assert_eq!(moved.len(), content.concat().len());
        let string = format!("{new}/lib");
        let start = content[0].len();
        assert_eq!(&moved[start..start + string.len()], string.as_bytes());
        let rest = &moved[start + string.len()..moved.len() - b"end\0".len()];
        assert!(rest.iter().all(|byte| *byte == 0));
        assert!(moved.ends_with(b"\0end\0"));
    }
}

#[test]
fn a_string_with_several_places_has_room_for_each() {
    let environment = Environment::new();
    let old = &environment.old;
    let mut string = format!("{old}/lib:{old}/lib64").into_bytes();
    string.extend(vec![0; 2 * (100 - old.len()) + 1]);
    environment.write(
        "lib/a.so",
        [b"\x7fELF\0", string.as_slice(), b"end"].concat(),
    );
    environment.record("lib/a.so", 100);
    // As long as it may be.
    let root = format!("/{}", "r".repeat(100 - KEY.len() - 2));
    let new = environment.moved(&root).unwrap();
    assert_eq!(new.len(), 100);
    let expected = format!("{new}/lib:{new}/lib64\0end");
    assert!(environment.read("lib/a.so").ends_with(expected.as_bytes()));
}

#[test]
fn a_program_that_cannot_name_the_new_place_is_refused_with_a_sentence() {
    let environment = Environment::new();
    environment.write(
        "bin/tool",
        [b"\x7fELF\0", environment.string(60, "/lib").as_slice()].concat(),
    );
    let long = format!("/{}", "r".repeat(99));
    let refused = environment.moved(&long).unwrap_err();
    assert_eq!(
        refused,
        "the program bin/tool has the place of its environment in it, which had 50 bytes there and would have 133 \
         here: use a data folder with a shorter path"
    );
    environment.record("bin/tool", 60);
    assert!(environment.moved(&long).is_err());
    assert!(environment.moved("/twelve/bytes").is_ok());
}

#[test]
fn what_follows_a_string_is_never_written_over() {
    let environment = Environment::new();
    // The placeholder says more than there is room for.
    let content = format!("\x7fELF\0{}/lib\0\0data", environment.old);
    environment.write("bin/tool", &content);
    environment.record("bin/tool", 255);
    assert!(environment.moved("/old/environments__").is_err());
    assert_eq!(environment.text("bin/tool"), content);
    assert!(environment.moved("/new").is_ok());
    assert!(environment.text("bin/tool").ends_with("\0data"));
}

#[test]
fn files_that_nobody_knows_and_compiled_python_are_left_as_they_are() {
    let environment = Environment::new();
    let unknown = format!("\0{}\0", environment.old);
    environment.write("share/data.bin", &unknown);
    environment.write("lib/__pycache__/a.cpython-311.pyc", &unknown);
    std::os::unix::fs::symlink("/nowhere", environment.folder.path().join("link")).unwrap();
    environment.moved("/new").unwrap();
    assert_eq!(environment.text("share/data.bin"), unknown);
    assert_eq!(
        environment.text("lib/__pycache__/a.cpython-311.pyc"),
        unknown
    );
}

#[test]
fn a_new_place_that_ends_with_an_old_one_is_found_as_a_whole() {
    let environment = Environment::new();
    let old = environment.old.clone();
    // The data folder was reached through a link, and files may have either name.
    let link = format!("#!{old}/bin/python\n/mnt{old}/lib:{old}/lib\n");
    environment.write("bin/tool", link);
    environment.write("lib/same.pth", format!("/mnt{old}/lib\n"));
    environment.record("lib/libtool.so", 255);
    let mut binary = b"\x7fELF\0".to_vec();
    binary.extend(environment.string(255, "/lib"));
    binary.extend(format!("/mnt{old}/lib\0").bytes());
    environment.write("lib/libtool.so", &binary);
    let packed = Packed {
        places: vec![format!("/mnt{old}").into(), old.clone().into()],
        ..Packed::new(KEY, Path::new(&old), "{}", None)
    };
    let moves = Moves::new(
        &Manifest::new(vec![packed], 0),
        Path::new("/mnt/old/environments"),
    );
    assert_eq!(
        moves.text(&format!("{old}:/mnt{old}/x")),
        format!("/mnt{old}:/mnt{old}/x")
    );
    relocate(environment.folder.path(), &moves).unwrap();
    assert_eq!(
        environment.text("bin/tool"),
        format!("#!/mnt{old}/bin/python\n/mnt{old}/lib:/mnt{old}/lib\n")
    );
    assert_eq!(environment.text("lib/same.pth"), format!("/mnt{old}/lib\n"));
    let binary = environment.read("lib/libtool.so");
    let strings: Vec<_> = binary[5..]
        .split(|byte| *byte == 0)
        .filter(|string| !string.is_empty())
        .collect();
    assert_eq!(strings, [format!("/mnt{old}/lib").as_bytes(); 2]);
}

#[test]
fn what_names_only_the_place_where_it_already_is_is_not_written_again() {
    let environment = Environment::new();
    let content = format!("{}/lib\n", environment.old);
    environment.write("lib/own.pth", &content);
    assert!(environment.moved("/old/environments").is_ok());
    assert_eq!(environment.text("lib/own.pth"), content);
}
