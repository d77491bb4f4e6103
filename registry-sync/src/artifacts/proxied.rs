//! Downloads a model from the artifact proxy of an MLflow server (1.30 to 3.18).

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures_util::stream::{self, TryStreamExt};
use tokio::fs;
use tokio::io::{AsyncWriteExt, BufWriter};
use tokio::sync::Semaphore;
use url::Url;

use super::{Progress, name};
use crate::client::{ArtifactListing, ArtifactRow, Authority, Client, Usage, below};
use crate::error::FetchError;
use crate::select::VersionSource;

/// The proxy's path: with `?path=` it lists, with a path below it sends a file.
const API: [&str; 4] = ["api", "2.0", "mlflow-artifacts", "artifacts"];

/// Files that are downloaded at the same time, by all fetches together. MLflow before 3 gives each of its four
/// workers to one download at a time; one of them is left for everybody else.
pub(super) const SLOTS: usize = 3;

/// Bytes that are written to the disk at once, each time by a thread that may block.
const BUFFER: usize = 1024 * 1024;

/// A model with more files, or deeper folders, is a mistake in the listing.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 32;

/// Progress is said again after this many bytes.
const PROGRESS_STEP: u64 = 8 * 1024 * 1024;

/// The folder of one model behind the proxy of a server.
pub(super) struct Proxied<'a> {
    pub(super) client: &'a Client,
    /// The server, and whether it is the registry.
    pub(super) root: &'a Url,
    pub(super) authority: Authority,
    /// The folder, from the proxy's root.
    pub(super) path: &'a [String],
    pub(super) source: &'a VersionSource,
    /// One for each file that may be under way.
    pub(super) slots: &'a Semaphore,
}

/// One file of the model: its path from the model's folder, and its size if the listing says it.
struct File {
    path: Vec<String>,
    size: Option<u64>,
}

/// How far a download has come.
struct Meter<'a> {
    progress: Progress<'a>,
    files: usize,
    total: u64,
    done: AtomicUsize,
    bytes: AtomicU64,
}

impl Proxied<'_> {
    /// Downloads everything to `into`, and checks each size against the listing.
    pub(super) async fn download(
        &self,
        into: &Path,
        progress: Progress<'_>,
    ) -> Result<(), FetchError> {
        progress(format!("listing the files of {}", self.source));
        let mut files = self.list(into).await?;
        if files.is_empty() {
            let path = self.path.join("/");
            return Err(FetchError::permanent(format!(
                "the artifacts of {} are gone: there is nothing in {path} on the MLflow server",
                self.source
            )));
        }
        // Small ones first: they need not wait for a large one.
        files.sort_by_key(|file| file.size);
        let meter = Meter {
            progress,
            files: files.len(),
            total: files.iter().filter_map(|file| file.size).sum(),
            done: AtomicUsize::new(0),
            bytes: AtomicU64::new(0),
        };
        meter.say();
        let meter = &meter;
        stream::iter(files.into_iter().map(Ok))
            .try_for_each_concurrent(SLOTS, |file| self.download_file(file, into, meter))
            .await
    }

    /// All files of the model, and its folders made below `into`.
    async fn list(&self, into: &Path) -> Result<Vec<File>, FetchError> {
        let mut files = Vec::new();
        let mut folders: Vec<Vec<String>> = vec![Vec::new()];
        while let Some(folder) = folders.pop() {
            for row in self.list_folder(&folder).await? {
                if !name::is_plain(&row.path)
                    || folder.len() >= MAX_DEPTH
                    || files.len() >= MAX_FILES
                {
                    let (source, folder) = (self.source, folder.join("/"));
                    return Err(FetchError::permanent(format!(
                        "the files of {source} are refused: {:?} in '{folder}' leads out of the model's folder, \
                         or there are too many",
                        row.path
                    )));
                }
                let mut path = folder.clone();
                path.push(row.path);
                if row.is_dir {
                    let target = below_folder(into, &path);
                    fs::create_dir(&target)
                        .await
                        .map_err(|error| FetchError::from_io(&error, "creating", &target))?;
                    folders.push(path);
                } else {
                    let size = row.file_size;
                    files.push(File { path, size });
                }
            }
        }
        Ok(files)
    }

    async fn list_folder(&self, folder: &[String]) -> Result<Vec<ArtifactRow>, FetchError> {
        let url = below(self.root, API);
        let path: Vec<&str> = self.path.iter().chain(folder).map(String::as_str).collect();
        let path = path.join("/");
        let usage = Usage::default();
        let listing: ArtifactListing = self
            .client
            .json(
                self.authority,
                url,
                &[("path", &path)],
                "listing artifacts",
                &usage,
            )
            .await
            .map_err(|error| FetchError::from_registry(error, &self.source.to_string()))?;
        Ok(listing.files)
    }

    async fn download_file(
        &self,
        file: File,
        into: &Path,
        meter: &Meter<'_>,
    ) -> Result<(), FetchError> {
        // Never closed, so there is always a slot to come.
        let _slot = self.slots.acquire().await;
        let shown = file.path.join("/");
        let path = self.path.iter().chain(&file.path).map(String::as_str);
        let url = below(self.root, API.into_iter().chain(path));
        let failed = |error| FetchError::from_registry(error, &self.source.to_string());
        let what = format!("downloading {shown}");
        let mut response = self
            .client
            .stream(self.authority, url, &[], &what)
            .await
            .map_err(failed)?;
        let target = below_folder(into, &file.path);
        let writing = |error| FetchError::from_io(&error, "writing", &target);
        let mut size = 0;
        // Made anew: what is there already came from the same listing under the same name.
        let output = fs::File::create_new(&target).await.map_err(writing)?;
        let mut output = BufWriter::with_capacity(BUFFER, output);
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| failed(self.client.unreachable(error)))?
        {
            output.write_all(&chunk).await.map_err(writing)?;
            size += chunk.len() as u64;
            meter.received(chunk.len() as u64);
        }
        output.flush().await.map_err(writing)?;
        match file.size {
            Some(expected) if expected != size => Err(FetchError::transient(format!(
                "{shown} of {} came with {size} instead of {expected} bytes",
                self.source
            ))),
            _ => {
                meter.finished();
                Ok(())
            }
        }
    }
}

impl Meter<'_> {
    fn received(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / PROGRESS_STEP != (before + bytes) / PROGRESS_STEP {
            self.say();
        }
    }

    fn finished(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.say();
    }

    fn say(&self) {
        let (done, files) = (self.done.load(Ordering::Relaxed), self.files);
        let bytes = size(self.bytes.load(Ordering::Relaxed));
        let total = size(self.total);
        (self.progress)(format!(
            "downloading files ({done} of {files}, {bytes} of {total})"
        ));
    }
}

fn below_folder(folder: &Path, path: &[String]) -> PathBuf {
    path.iter()
        .fold(folder.to_owned(), |path, name| path.join(name))
}

/// In kB or MB of 1024 bytes or kB.
fn size(bytes: u64) -> String {
    let kilobytes = bytes.div_ceil(1024);
    if kilobytes < 1024 {
        return format!("{kilobytes} kB");
    }
    let tenths = kilobytes * 10 / 1024;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_said_in_a_unit_that_fits() {
        let sizes = [0, 1, 1024, 1024 * 1024, 1024 * 1024 * 3 / 2, 1 << 40].map(size);
        assert_eq!(
            sizes,
            ["0 kB", "1 kB", "1 kB", "1.0 MB", "1.5 MB", "1048576.0 MB"]
        );
    }
}
