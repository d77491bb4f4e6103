//! What is in an unpacked package: whether all of it is there, and whether it stays within its folder.

use std::collections::BTreeSet;
use std::io;
use std::path::{Component, Path, PathBuf};

use rattler_conda_types::package::{PathType, PathsEntry, PathsJson};

/// Why an unpacked package is not linked.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something is missing or cut off: unpacking it again could help.
    Damaged(String),
    /// It reaches out of its folder. Nothing helps.
    Unsafe(String),
}

/// Looks at every path that would be linked; gives the scripts that conda would run when it links the package. Reads
/// no file but the package's own lists. Blocks on the disk.
pub(super) fn inspect(folder: &Path) -> Result<Vec<String>, Fault> {
    let unreadable = |error: io::Error| Fault::Damaged(format!("its list of files: {error}"));
    let paths = PathsJson::from_package_directory_with_deprecated_fallback(folder)
        .map_err(unreadable)?
        .paths;
    let root = folder.canonicalize().map_err(unreadable)?;
    let mut looked_into = BTreeSet::new();
    for entry in &paths {
        inspect_entry(&root, entry, &mut looked_into)?;
    }
    let scripts = paths.iter().filter(|entry| is_link_script(entry));
    Ok(scripts
        .map(|entry| entry.relative_path.display().to_string())
        .collect())
}

fn inspect_entry(
    root: &Path,
    entry: &PathsEntry,
    looked_into: &mut BTreeSet<PathBuf>,
) -> Result<(), Fault> {
    let relative = &entry.relative_path;
    let shown = relative.display();
    if !is_inside(relative) {
        return Err(Fault::Unsafe(format!(
            "its file {shown} would be put outside of the environment"
        )));
    }
    let path = root.join(relative);
    let damaged = |why: String| Fault::Damaged(format!("its file {shown} {why}"));
    let metadata = std::fs::symlink_metadata(&path)
        .map_err(|error| damaged(format!("is missing: {error}")))?;
    // A folder may be a link itself, and lead elsewhere.
    if let Some(folder) = path.parent()
        && looked_into.insert(folder.to_owned())
        && !folder
            .canonicalize()
            .is_ok_and(|folder| folder.starts_with(root))
    {
        return Err(Fault::Unsafe(format!(
            "its file {shown} is behind a link that leads out of the package"
        )));
    }
    match entry.path_type {
        PathType::HardLink if metadata.is_symlink() => Err(Fault::Unsafe(format!(
            "its file {shown} is announced as a file, and is a link"
        ))),
        PathType::HardLink => match entry.size_in_bytes {
            Some(size) if size != metadata.len() => Err(damaged(format!(
                "has {} bytes instead of {size}",
                metadata.len()
            ))),
            _ => Ok(()),
        },
        PathType::SoftLink => {
            let target = std::fs::read_link(&path)
                .map_err(|error| damaged(format!("is no link: {error}")))?;
            let from = relative.parent().unwrap_or(Path::new(""));
            if stays_inside(from, &target) {
                Ok(())
            } else {
                Err(Fault::Unsafe(format!(
                    "its link {shown} leads to {}, outside of the environment",
                    target.display()
                )))
            }
        }
        PathType::Directory => Ok(()),
    }
}

/// Whether a path names something below the folder that it is taken from.
fn is_inside(path: &Path) -> bool {
    let mut components = path.components();
    path.file_name().is_some()
        && components.all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

/// Whether a link in the folder `from` leads to something below the same root. Going up is only allowed at the
/// beginning: a folder on the way may be a link itself, whose parent is another one than it seems.
fn stays_inside(from: &Path, target: &Path) -> bool {
    let mut depth = from.components().count();
    let mut has_gone_down = false;
    for component in target.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if has_gone_down || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => has_gone_down = true,
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

/// `bin/.NAME-post-link.sh` and its like.
fn is_link_script(entry: &PathsEntry) -> bool {
    let is_in_bin = entry.relative_path.parent() == Some(Path::new("bin"));
    let name = entry
        .relative_path
        .file_name()
        .and_then(|name| name.to_str());
    is_in_bin
        && name.is_some_and(|name| {
            name.starts_with('.')
                && (name.ends_with("-post-link.sh") || name.ends_with("-pre-link.sh"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_may_go_up_as_far_as_the_root_and_only_first() {
        for (from, target, stays) in [
            ("lib", "libz.so.1", true),
            ("lib", "../share/x", true),
            ("lib/python3.11", "../../bin/python", true),
            ("lib", "../../x", false),
            ("", "..", false),
            ("lib", "/etc/passwd", false),
            ("lib", "own/../../../x", false),
        ] {
            assert_eq!(
                stays_inside(Path::new(from), Path::new(target)),
                stays,
                "{from} {target}"
            );
        }
    }

    #[test]
    fn paths_are_inside_when_they_only_go_down() {
        for (path, inside) in [
            ("bin/x", true),
            ("./x", true),
            ("../x", false),
            ("a/../../x", false),
            ("/x", false),
            ("", false),
        ] {
            assert_eq!(is_inside(Path::new(path)), inside, "{path}");
        }
    }
}
