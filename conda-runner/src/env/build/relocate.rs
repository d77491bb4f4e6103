//! Makes an environment that was built in one place right for another.
//!
//! conda's packages are written for their last place at once. What is left are the scripts that uv and pip write, and
//! the few files of a virtual environment that name it. A file may be linked into a cache that others share, so none is
//! written through: each is replaced by a new one.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serving_core::LoadError;

use super::distributions::site_packages;
use crate::error::disk;
use crate::names;

/// Bytes of a first line that every supported system reads of a script: `#!`, the interpreter, the end of the line.
const LONGEST_SHEBANG: usize = 127;
/// Larger files are no scripts.
const LARGEST: u64 = 4 << 20;
/// A script for `sh` that is a script for Python as well: for it, the second line is the beginning of a text that the
/// third one ends. The interpreter's path may be long and have spaces then.
const SHELL: &str = "#!/bin/sh\n'''exec' ";
/// What follows the interpreter in it.
const ARGUMENTS: &str = " \"$0\" \"$@\"\n";

/// Rewrites what the programs and scripts below `prefix` say about their own place, from `prefix` to `place`.
pub(crate) async fn relocate(prefix: &Path, place: &Path) -> Result<(), LoadError> {
    let work = Move::new(prefix, place);
    let done = tokio::task::spawn_blocking(move || work.run()).await;
    done.unwrap_or_else(|error| Err(io::Error::other(error)))
        .map_err(disk("make ready for its place what is in", prefix))
}

struct Move {
    prefix: PathBuf,
    /// The ways in which files name the prefix: tools may have followed the links in it.
    names: Vec<String>,
    place: String,
}

impl Move {
    fn new(prefix: &Path, place: &Path) -> Self {
        let mut names = vec![prefix.display().to_string()];
        if let Ok(real) = fs::canonicalize(prefix) {
            names.push(real.display().to_string());
        }
        // The longer one first: it may contain the other.
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.dedup();
        Self {
            prefix: prefix.to_owned(),
            names,
            place: place.display().to_string(),
        }
    }

    fn run(&self) -> io::Result<()> {
        self.links(&self.prefix)?;
        self.file(&self.prefix.join("pyvenv.cfg"))?;
        for path in entries(&self.prefix.join("bin"))? {
            self.file(&path)?;
        }
        for folder in site_packages(&self.prefix)? {
            for path in entries(&folder)? {
                if path.extension().is_some_and(|extension| extension == "pth") {
                    self.file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// Makes links anew that lead into the prefix by its whole path.
    fn links(&self, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.links(&entry.path())?;
            } else if kind.is_symlink() {
                let target = fs::read_link(entry.path())?;
                let Some(target) = target.to_str() else {
                    continue;
                };
                let moved = self.moved(target);
                if moved != target {
                    let new = beside(&entry.path());
                    symlink(moved, &new)?;
                    fs::rename(new, entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Rewrites one file if it is a text that names the prefix.
    fn file(&self, path: &Path) -> io::Result<()> {
        let Some((text, mode)) = read_text(path)? else {
            return Ok(());
        };
        let moved = match self.interpreter(&text) {
            Some((interpreter, rest)) => {
                format!("{}{}", begin(&self.moved(interpreter)), self.moved(rest))
            }
            None => self.moved(&text),
        };
        if moved == text {
            return Ok(());
        }
        let new = beside(path);
        fs::write(&new, moved)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(new, path)
    }

    /// The interpreter of a Python script, if it is one of the prefix, with its options, and all that comes after.
    fn interpreter<'a>(&self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (interpreter, rest) = match text.strip_prefix(SHELL) {
            Some(rest) => {
                let (interpreter, rest) = rest.split_once(ARGUMENTS)?;
                (interpreter, rest.strip_prefix("' '''\n")?)
            }
            None => text.strip_prefix("#!")?.split_once('\n')?,
        };
        let interpreter = interpreter.trim().trim_matches(['"', '\'']);
        let is_ours = |name: &String| {
            interpreter
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with("/bin/python"))
        };
        self.names
            .iter()
            .any(is_ours)
            .then_some((interpreter, rest))
    }

    /// The text with the place wherever the prefix was named, which is not where another name only begins like it.
    fn moved(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in &self.names {
            let mut moved = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some((before, after)) = rest.split_once(name.as_str()) {
                let goes_on =
                    |character: char| character.is_alphanumeric() || "_.-".contains(character);
                moved.push_str(before);
                moved.push_str(if after.starts_with(goes_on) {
                    name
                } else {
                    &self.place
                });
                rest = after;
            }
            moved.push_str(rest);
            text = moved;
        }
        text
    }
}

/// The first line of a script for this interpreter, or the lines in its place.
fn begin(interpreter: &str) -> String {
    let line = format!("#!{interpreter}\n");
    // Options of the interpreter follow after a space. Names with spaces come with `bin/python` after the space.
    let (program, options) = match interpreter.rsplit_once("/bin/") {
        Some((root, name)) => {
            let name = name.split(' ').next().unwrap_or(name);
            interpreter.split_at(root.len() + "/bin/".len() + name.len())
        }
        None => (interpreter, ""),
    };
    if line.len() <= LONGEST_SHEBANG && !program.contains(char::is_whitespace) {
        return line;
    }
    let quoted = program
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$")
        .replace('`', "\\`");
    format!("{SHELL}\"{quoted}\"{options}{ARGUMENTS}' '''\n")
}

/// The content and the mode of a plain file that is a text.
fn read_text(path: &Path) -> io::Result<Option<(String, u32)>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() <= LARGEST => found,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut file = fs::File::open(path)?;
    let mut start = [0; 512];
    let length = file.read(&mut start)?;
    if start[..length].contains(&0) {
        return Ok(None);
    }
    let mut bytes = start[..length].to_vec();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).ok();
    Ok(text.map(|text| (text, found.permissions().mode())))
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", names::fresh()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::env::build::testing::{self, Machine};
    use crate::env::build::{Installer, PipSettings, Site, make_venv};
    use crate::process::child::Launch;

    /// A virtual environment with a console script, put to its place.
    async fn moved(machine: &Machine, place: PathBuf) -> Site {
        let (mut site, _) = machine.site();
        site.place = place;
        make_venv(&site, &machine.python().await, None)
            .await
            .unwrap();
        testing::wheel(&site.folder, "own");
        let wanted = ["./own-1.0-py3-none-any.whl".to_owned()];
        let settings = PipSettings {
            offline: true,
            ..PipSettings::default()
        };
        Installer::Pip
            .install(&site, &wanted, &[], &settings)
            .await
            .unwrap();
        relocate(&site.prefix, &site.place).await.unwrap();
        fs::create_dir_all(site.place.parent().unwrap()).unwrap();
        fs::rename(&site.prefix, &site.place).unwrap();
        site
    }

    /// What the console script prints: the environment that it runs in.
    async fn run(machine: &Machine, site: &Site) -> Vec<String> {
        let launch = Launch {
            program: site.place.join("bin/own-program"),
            arguments: Vec::new(),
            environment: site.host.environment(None, []),
            directory: "/".into(),
        };
        let ended = site
            .host
            .run(&launch, &machine.report().0.log)
            .await
            .unwrap();
        ended.lines.clone()
    }

    #[tokio::test]
    async fn a_program_runs_in_the_environment_of_its_new_place() {
        let machine = Machine::new();
        let site = moved(&machine, machine.path("environments/key")).await;
        let place = site.place.display().to_string();
        assert_eq!(run(&machine, &site).await, [place.as_str()]);
        let old = site.prefix.display().to_string();
        for name in ["pyvenv.cfg", "bin/activate", "bin/pip", "bin/own-program"] {
            let text = fs::read_to_string(site.place.join(name)).unwrap();
            assert!(!text.contains(&old), "{name}: {text}");
        }
        let first = fs::read_to_string(site.place.join("bin/own-program")).unwrap();
        let is_plain = format!("#!{place}/bin/python").len() < 120;
        assert_eq!(
            first.starts_with(&format!("#!{place}/bin/python")),
            is_plain,
            "{first}"
        );
    }

    #[tokio::test]
    async fn a_place_that_is_too_long_or_has_a_space_gets_scripts_that_a_shell_starts() {
        let machine = Machine::new();
        let deep = format!("my environments/{}/key", "long-".repeat(30));
        let site = moved(&machine, machine.path(&deep)).await;
        let place = site.place.display().to_string();
        assert_eq!(run(&machine, &site).await, [place.as_str()]);
    }

    fn prefix(machine: &Machine) -> PathBuf {
        let prefix = machine.path("staging/whole");
        for folder in ["bin", "lib/python3.11/site-packages"] {
            fs::create_dir_all(prefix.join(folder)).unwrap();
        }
        prefix
    }

    #[tokio::test]
    async fn a_file_that_a_cache_shares_is_replaced_and_keeps_its_mode() {
        let machine = Machine::new();
        let prefix = prefix(&machine);
        let script = format!("#!{}/bin/python3.11 -I\nprint()\n", prefix.display());
        let cached = machine.program("cache", "");
        fs::write(&cached, &script).unwrap();
        let linked = prefix.join("bin/script");
        fs::hard_link(&cached, &linked).unwrap();
        relocate(&prefix, Path::new("/env/key")).await.unwrap();
        assert_eq!(
            fs::read_to_string(&linked).unwrap(),
            "#!/env/key/bin/python3.11 -I\nprint()\n"
        );
        assert_eq!(fs::read_to_string(&cached).unwrap(), script);
        assert_eq!(fs::metadata(&linked).unwrap().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(prefix.join("bin")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn links_and_paths_are_made_anew_and_what_names_others_stays() {
        let machine = Machine::new();
        let prefix = prefix(&machine);
        let old = prefix.display().to_string();
        let site = prefix.join("lib/python3.11/site-packages");
        fs::write(
            site.join("own.pth"),
            format!("{old}/src\n{old}-other/src\n"),
        )
        .unwrap();
        fs::write(site.join("own.py"), &old).unwrap();
        let binary = [b"\x7fELF\0".as_slice(), old.as_bytes()].concat();
        fs::write(prefix.join("bin/binary"), &binary).unwrap();
        symlink(prefix.join("bin/binary"), prefix.join("bin/link")).unwrap();
        symlink("binary", prefix.join("bin/relative")).unwrap();
        symlink("/usr/bin/python3", prefix.join("bin/python")).unwrap();
        relocate(&prefix, Path::new("/env/key")).await.unwrap();
        let text = |path: PathBuf| fs::read_to_string(path).unwrap();
        assert_eq!(
            text(site.join("own.pth")),
            format!("/env/key/src\n{old}-other/src\n")
        );
        assert_eq!(text(site.join("own.py")), old);
        assert_eq!(fs::read(prefix.join("bin/binary")).unwrap(), binary);
        let target = |name: &str| fs::read_link(prefix.join("bin").join(name)).unwrap();
        assert_eq!(target("link"), Path::new("/env/key/bin/binary"));
        assert_eq!(target("relative"), Path::new("binary"));
        assert_eq!(target("python"), Path::new("/usr/bin/python3"));
    }

    #[test]
    fn a_script_that_a_shell_starts_becomes_a_plain_one_where_it_can() {
        let machine = Machine::new();
        let work = Move::new(&machine.path("very long"), Path::new("/env/key"));
        let name = &work.names[0];
        for quote in ["'", "\""] {
            let text =
                format!("{SHELL}{quote}{name}/bin/python3{quote}{ARGUMENTS}' '''\nimport x\n");
            let (interpreter, rest) = work.interpreter(&text).unwrap();
            assert_eq!(rest, "import x\n");
            assert_eq!(begin(&work.moved(interpreter)), "#!/env/key/bin/python3\n");
        }
        // uv's own, for what can be moved: says nothing about its place.
        let relative = "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''\n";
        assert!(work.interpreter(relative).is_none());
    }
}
