//! The files of the page, as they are beside this one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;

/// One file.
pub(super) struct Asset {
    name: &'static str,
    pub(super) content_type: &'static str,
    pub(super) content: &'static str,
    compressed: OnceLock<Bytes>,
    etag: OnceLock<HeaderValue>,
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

static SHELL: Asset = asset(
    "index.html",
    "text/html; charset=utf-8",
    include_str!("assets/index.html"),
);

static FILES: [Asset; 30] = [
    asset(
        "app.css",
        "text/css; charset=utf-8",
        include_str!("assets/app.css"),
    ),
    asset("icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
    asset(
        "tabs.css",
        "text/css; charset=utf-8",
        include_str!("assets/tabs.css"),
    ),
    asset("answer.js", SCRIPT, include_str!("assets/answer.js")),
    asset("api.js", SCRIPT, include_str!("assets/api.js")),
    asset("app.js", SCRIPT, include_str!("assets/app.js")),
    asset("bodies.js", SCRIPT, include_str!("assets/bodies.js")),
    asset("call.js", SCRIPT, include_str!("assets/call.js")),
    asset("chart.js", SCRIPT, include_str!("assets/chart.js")),
    asset("dom.js", SCRIPT, include_str!("assets/dom.js")),
    asset("events.js", SCRIPT, include_str!("assets/events.js")),
    asset("figures.js", SCRIPT, include_str!("assets/figures.js")),
    asset("json.js", SCRIPT, include_str!("assets/json.js")),
    asset("live.js", SCRIPT, include_str!("assets/live.js")),
    asset("log-pane.js", SCRIPT, include_str!("assets/log-pane.js")),
    asset("logs.js", SCRIPT, include_str!("assets/logs.js")),
    asset("model-row.js", SCRIPT, include_str!("assets/model-row.js")),
    asset("model.js", SCRIPT, include_str!("assets/model.js")),
    asset("models.js", SCRIPT, include_str!("assets/models.js")),
    asset("plain.js", SCRIPT, include_str!("assets/plain.js")),
    asset("printed.js", SCRIPT, include_str!("assets/printed.js")),
    asset("programs.js", SCRIPT, include_str!("assets/programs.js")),
    asset("schema.js", SCRIPT, include_str!("assets/schema.js")),
    asset("settings.js", SCRIPT, include_str!("assets/settings.js")),
    asset("sign-in.js", SCRIPT, include_str!("assets/sign-in.js")),
    asset("snippets.js", SCRIPT, include_str!("assets/snippets.js")),
    asset("standing.js", SCRIPT, include_str!("assets/standing.js")),
    asset("time.js", SCRIPT, include_str!("assets/time.js")),
    asset("versions.js", SCRIPT, include_str!("assets/versions.js")),
    asset("words.js", SCRIPT, include_str!("assets/words.js")),
];

const fn asset(name: &'static str, content_type: &'static str, content: &'static str) -> Asset {
    Asset {
        name,
        content_type,
        content,
        compressed: OnceLock::new(),
        etag: OnceLock::new(),
    }
}

/// The page itself.
pub(super) fn shell() -> &'static Asset {
    &SHELL
}

/// The file of that name.
pub(super) fn find(name: &str) -> Option<&'static Asset> {
    FILES.iter().find(|asset| asset.name == name)
}

impl Asset {
    /// The content in gzip, made when it is first asked for.
    pub(super) fn compressed(&'static self) -> Bytes {
        let made = self.compressed.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into memory does not fail.
            let written = encoder.write_all(self.content.as_bytes());
            written
                .and_then(|()| encoder.finish())
                .unwrap_or_default()
                .into()
        });
        made.clone()
    }

    /// Another one for another content.
    pub(super) fn etag(&self) -> HeaderValue {
        let made = self.etag.get_or_init(|| {
            let mut hasher = DefaultHasher::new();
            self.content.hash(&mut hasher);
            let digest = format!("\"{:016x}\"", hasher.finish());
            HeaderValue::from_str(&digest).unwrap_or(HeaderValue::from_static("\"\""))
        });
        made.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/ui/assets");
        let there: BTreeSet<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        let served: BTreeSet<_> = FILES
            .iter()
            .chain([&SHELL])
            .map(|asset| asset.name.to_owned())
            .collect();
        assert_eq!(there, served);
    }

    #[test]
    fn no_file_names_another_origin_or_makes_markup_of_strings() {
        for asset in FILES.iter().chain([&SHELL]) {
            for forbidden in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(
                    !asset.content.contains(forbidden),
                    "{}: {forbidden}",
                    asset.name
                );
            }
            let foreign = asset.content.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !foreign.contains("http://") && !foreign.contains("https://"),
                "{}",
                asset.name
            );
        }
    }

    #[test]
    fn all_of_it_is_less_than_a_hundred_kilobytes_to_transfer() {
        let all: usize = FILES
            .iter()
            .chain([&SHELL])
            .map(|asset| asset.compressed().len())
            .sum();
        assert!(all < 100_000, "{all} bytes");
        let mut read = String::new();
        flate2::read::GzDecoder::new(&*SHELL.compressed())
            .read_to_string(&mut read)
            .unwrap();
        assert_eq!(read, SHELL.content);
    }
}
