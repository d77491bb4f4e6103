//! A conda channel in a folder, with packages that a test makes up.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What stands in files for the folder that they will be in; longer than any of a test.
pub(crate) const PLACEHOLDER: &str = concat!(
    "/placeholder_placeholder_placeholder_placeholder_placeholder_placeholder_placeholder_placeholder",
    "_placeholder_placeholder_placeholder_placeholder_placeholder_placeholder_placeholder_placeholder"
);

/// The channel `conda-forge` below its alias.
pub(crate) struct Channel {
    alias: PathBuf,
    packages: serde_json::Map<String, Value>,
}

/// One package; its files are programs.
pub(crate) struct Package<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) depends: &'a [&'a str],
    /// Paths and texts.
    pub(crate) files: Vec<(String, String)>,
}

impl Channel {
    /// An empty channel.
    pub(crate) fn new(alias: PathBuf) -> Self {
        let channel = Self {
            alias,
            packages: serde_json::Map::new(),
        };
        channel.write();
        channel
    }

    /// The address of its alias.
    pub(crate) fn alias(&self) -> String {
        format!("file://{}", self.alias.display())
    }

    /// Adds a package.
    pub(crate) fn add(&mut self, package: &Package<'_>) {
        let Package { name, version, .. } = package;
        let file = format!("{name}-{version}-0.tar.bz2");
        let archive = package.archive();
        let mut record = package.index();
        record["sha256"] = json!(digest(&archive));
        record["size"] = json!(archive.len());
        std::fs::write(self.folder("noarch").join(&file), archive).unwrap();
        self.packages.insert(file, record);
        self.write();
    }

    /// Takes a package off the list and off the disk.
    pub(crate) fn remove(&mut self, name: &str, version: &str) {
        let file = format!("{name}-{version}-0.tar.bz2");
        self.packages.remove(&file).unwrap();
        std::fs::remove_file(self.folder("noarch").join(&file)).unwrap();
        self.write();
    }

    fn write(&self) {
        for subdir in ["noarch", "linux-64", "linux-aarch64"] {
            let packages = match subdir {
                "noarch" => self.packages.clone(),
                _ => serde_json::Map::new(),
            };
            let list = json!({
                "info": {"subdir": subdir},
                "packages": packages,
                "packages.conda": {},
                "repodata_version": 1,
            });
            let folder = self.folder(subdir);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("repodata.json"), list.to_string()).unwrap();
        }
    }

    fn folder(&self, subdir: &str) -> PathBuf {
        self.alias.join("conda-forge").join(subdir)
    }
}

impl Package<'_> {
    fn index(&self) -> Value {
        json!({
            "name": self.name,
            "version": self.version,
            "build": "0",
            "build_number": 0,
            "depends": self.depends,
            "noarch": "generic",
            "subdir": "noarch",
        })
    }

    fn paths(&self) -> Value {
        let path = |(path, text): &(String, String)| {
            let mut entry = json!({
                "_path": path,
                "path_type": "hardlink",
                "sha256": digest(text.as_bytes()),
                "size_in_bytes": text.len(),
            });
            if text.contains(PLACEHOLDER) {
                entry["prefix_placeholder"] = json!(PLACEHOLDER);
                entry["file_mode"] = json!("text");
            }
            entry
        };
        let paths: Vec<Value> = self.files.iter().map(path).collect();
        json!({"paths": paths, "paths_version": 1})
    }

    fn archive(&self) -> Vec<u8> {
        let packer = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        let mut archive = tar::Builder::new(packer);
        let mut add = |path: &str, text: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o755);
            header.set_mtime(1_700_000_000);
            archive
                .append_data(&mut header, Path::new(path), text.as_bytes())
                .unwrap();
        };
        add("info/index.json", &self.index().to_string());
        add("info/paths.json", &self.paths().to_string());
        for (path, text) in &self.files {
            add(path, text);
        }
        archive.into_inner().unwrap().finish().unwrap()
    }
}

fn digest(bytes: &[u8]) -> String {
    let digits = Sha256::digest(bytes);
    let digits = digits.iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<Vec<_>>().concat()
}
