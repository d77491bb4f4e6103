//! Which links an environment may have: into itself, and to the interpreter that it is made from.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

/// Where a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Into its own environment, wherever that is.
    Inside,
    /// To what begins with this one of the known places.
    Place(usize),
    /// To an interpreter of the machine.
    Interpreter(PathBuf),
}

/// Where the link at `name` (below its environment) to `target` leads to; an error says that it leads elsewhere.
/// Absolute targets may be below one of `places`.
pub(super) fn target(name: &Path, target: &Path, places: &[&Path]) -> Result<Target, String> {
    let refused = || {
        format!(
            "the link {} to {} leads out of the environment",
            name.display(),
            target.display()
        )
    };
    if !target.is_absolute() {
        return if stays_inside(name, target) {
            Ok(Target::Inside)
        } else {
            Err(refused())
        };
    }
    if !is_plain(target) {
        return Err(refused());
    }
    if let Some(place) = places.iter().position(|place| target.starts_with(place)) {
        return Ok(Target::Place(place));
    }
    let is_interpreter = name.parent() == Some(Path::new("bin"))
        && name
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"python"));
    if is_interpreter {
        return Ok(Target::Interpreter(target.to_owned()));
    }
    Err(refused())
}

/// Whether an absolute path says straight where it leads to.
pub(super) fn is_plain(path: &Path) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    // `Path` hides single dots, which do no harm.
    path.components().all(is_plain)
}

/// Goes up only at its beginning, and no further than to the environment itself. The folder that a link is in is a
/// real one, so going up from it is certain; going up later could start from where another link leads to.
fn stays_inside(name: &Path, target: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    let mut has_gone_down = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if has_gone_down || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => has_gone_down = true,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    target != OsStr::new("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leads(name: &str, to: &str) -> Option<Target> {
        let places = [Path::new("/envs/abc"), Path::new("/envs/base")];
        target(Path::new(name), Path::new(to), &places).ok()
    }

    #[test]
    fn links_lead_inside_to_known_places_or_to_an_interpreter() {
        for (name, to) in [
            ("lib64", "lib"),
            ("bin/python", "python3.11"),
            ("lib/a/b", "../../share/x"),
            ("lib/a", ".."),
            ("lib/a", "./b"),
        ] {
            assert_eq!(leads(name, to), Some(Target::Inside), "{name} -> {to}");
        }
        assert_eq!(leads("lib/a", "/envs/abc/x"), Some(Target::Place(0)));
        assert_eq!(
            leads("bin/python", "/envs/base/bin/python3"),
            Some(Target::Place(1))
        );
        let python = "/usr/bin/python3.11";
        assert_eq!(
            leads("bin/python3", python),
            Some(Target::Interpreter(PathBuf::from(python)))
        );
    }

    #[test]
    fn links_that_lead_elsewhere_are_refused() {
        for (name, to) in [
            ("passwd", "/etc/passwd"),
            ("lib/python", "/usr/bin/python3"),
            ("bin/pip", "/usr/bin/pip"),
            ("bin/python", "/usr/../etc/passwd"),
            ("up", ".."),
            ("lib/a", "../.."),
            // Inside if `x` is a folder, outside if it is a link.
            ("lib/a", "../x/../../y"),
            ("lib/a", "x/.."),
            ("x", "/envs/abc/../../etc"),
            ("x", "/envs/abcd"),
            ("x", ""),
        ] {
            assert_eq!(leads(name, to), None, "{name} -> {to}");
        }
    }
}
