//! Which Python packages an environment has, read from what installers leave beside them (the core metadata
//! specifications' `.dist-info` folders, and the older `.egg-info`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Lines of metadata before which a name and a version are.
const HEADERS: usize = 200;

/// `name==version` of each distribution below `prefix`, sorted, names normalised (PEP 503). Those that were installed
/// from a file, a folder or a repository are left out (PEP 610): no index has to have them. Blocks on the disk.
pub(crate) fn installed(prefix: &Path) -> io::Result<Vec<String>> {
    let mut all = BTreeMap::new();
    for folder in site_packages(prefix)? {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some((name, version)) = distribution(&path) {
                all.insert(name, version);
            }
        }
    }
    Ok(all
        .into_iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect())
}

/// The folders in which Python looks for installed packages.
pub(crate) fn site_packages(prefix: &Path) -> io::Result<Vec<PathBuf>> {
    let folders = python_folders(prefix)?.into_iter();
    let folders = folders.map(|folder| folder.join("site-packages"));
    Ok(folders.filter(|folder| folder.is_dir()).collect())
}

/// `lib/python3.11` and the like. conda adds links to them under other names.
pub(crate) fn python_folders(prefix: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(prefix.join("lib")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = entry?;
        let is_python = entry.file_name().as_encoded_bytes().starts_with(b"python");
        if is_python && entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    Ok(folders)
}

fn distribution(path: &Path) -> Option<(String, String)> {
    let metadata = match path.extension()?.to_str()? {
        "dist-info" => path.join("METADATA"),
        "egg-info" if path.is_dir() => path.join("PKG-INFO"),
        "egg-info" => path.to_owned(),
        _ => return None,
    };
    if path.join("direct_url.json").exists() {
        return None;
    }
    let lines = BufReader::new(fs::File::open(metadata).ok()?).lines();
    // Neither has to be ASCII, but a line that is no text ends the headers.
    let lines: Vec<String> = lines
        .take(HEADERS)
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let header = |start: &str| lines.iter().find_map(|line| line.strip_prefix(start));
    Some((
        normal_name(header("Name:")?.trim()),
        header("Version:")?.trim().to_owned(),
    ))
}

fn normal_name(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_packages_are_listed_and_those_from_files_are_not() {
        let prefix = tempfile::tempdir().unwrap();
        let site = prefix.path().join("lib/python3.11/site-packages");
        let write = |name: &str, text: &str| {
            let path = site.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let metadata = |name: &str, version: &str| {
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nName: not this\n")
        };
        write(
            "torch-2.1.dist-info/METADATA",
            &metadata("torch", "2.1.0+cpu"),
        );
        write("Py.Yaml-6.dist-info/METADATA", &metadata("Py.Yaml", "6.0"));
        write("own-1.dist-info/METADATA", &metadata("own", "1.0"));
        write("own-1.dist-info/direct_url.json", "{}");
        write("old-1.egg-info", &metadata("Old_One", "1"));
        write("broken-1.dist-info/RECORD", "");
        write("torch/METADATA", &metadata("no", "1"));
        std::os::unix::fs::symlink("python3.11", prefix.path().join("lib/python3.1")).unwrap();
        assert_eq!(
            installed(prefix.path()).unwrap(),
            ["old-one==1", "py-yaml==6.0", "torch==2.1.0+cpu"]
        );
    }
}
