//! Where channels are: what the names and addresses in a `conda.yaml` stand for on this gateway.

use std::collections::BTreeMap;
use std::str::FromStr;

use rattler_conda_types::{Channel, Subdir};
use serving_core::LoadError;
use url::Url;

use super::address::{Address, Credential};
use crate::env::trouble::Trouble;

/// What conda takes when a file names no channel. Its own meaning, Anaconda's channels, is not free for everybody.
const DEFAULTS: &str = "defaults";
/// What `defaults` means unless the operator says otherwise.
const FREE_FOR_EVERYBODY: &str = "conda-forge";
/// In a list of channels it only says that `defaults` is not wanted (conda).
const NO_DEFAULTS: &str = "nodefaults";
/// How often a meaning may stand for another one.
const DEEPEST: usize = 8;

/// Translates names into addresses.
#[derive(Clone)]
pub(super) struct Channels {
    alias: Url,
    credential: Option<Credential>,
    meanings: BTreeMap<String, Vec<String>>,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// For people: `conda-forge`.
    pub(super) name: String,
    /// Without credentials, and with a slash at its end.
    pub(super) url: Url,
}

/// Channels in the order of their priority, with the credentials that were in their addresses.
#[derive(Clone, Default)]
pub(super) struct Resolved {
    pub(super) sources: Vec<Source>,
    pub(super) credentials: Vec<Credential>,
}

impl Channels {
    /// `None` if `alias` is no address.
    pub(super) fn new(alias: &str, meanings: &BTreeMap<String, Vec<String>>) -> Option<Self> {
        let alias = Address::parse(alias)?;
        let url = with_slash(alias.url);
        let mut channels = Self {
            alias: url,
            credential: alias.credential,
            meanings: BTreeMap::new(),
        };
        channels.meanings = meanings
            .iter()
            .map(|(name, meaning)| (channels.key(name), meaning.clone()))
            .collect();
        channels
            .meanings
            .entry(DEFAULTS.to_owned())
            .or_insert_with(|| vec![FREE_FOR_EVERYBODY.to_owned()]);
        Some(channels)
    }

    /// The channels that `words` stand for, each once, in their order.
    pub(super) fn resolve<'a>(
        &self,
        words: impl IntoIterator<Item = &'a str>,
    ) -> Result<Resolved, LoadError> {
        let words = words.into_iter().map(str::trim);
        let words: Vec<&str> = words.filter(|word| *word != NO_DEFAULTS).collect();
        let words = if words.is_empty() {
            vec![DEFAULTS]
        } else {
            words
        };
        let mut resolved = Resolved::default();
        for word in words {
            self.add(word, &mut Vec::new(), &mut resolved)?;
        }
        Ok(resolved)
    }

    /// `above` are the keys whose meaning `word` is part of: among its own meaning, a name is just that channel.
    fn add(
        &self,
        word: &str,
        above: &mut Vec<String>,
        into: &mut Resolved,
    ) -> Result<(), LoadError> {
        let key = self.key(word);
        let meaning = self.meanings.get(&key).filter(|_| !above.contains(&key));
        let Some(meaning) = meaning.filter(|_| above.len() < DEEPEST) else {
            let (source, credential) = self.source(word)?;
            into.add(source, credential);
            return Ok(());
        };
        above.push(key);
        for word in meaning {
            self.add(word, above, into)?;
        }
        above.pop();
        Ok(())
    }

    /// Equal for a name and for the address that it stands for without a meaning of its own.
    fn key(&self, word: &str) -> String {
        match self.source(word) {
            Ok((source, _)) => match source.url.as_str().strip_prefix(self.alias.as_str()) {
                Some(name) => name.trim_end_matches('/').to_owned(),
                None => source.url.into(),
            },
            Err(_) => word.trim().to_owned(),
        }
    }

    /// What a word stands for by itself.
    fn source(&self, word: &str) -> Result<(Source, Option<Credential>), LoadError> {
        let word = word.trim();
        let address = if word.contains("://") {
            Address::parse(word)
        } else if word.starts_with('/') {
            Url::from_directory_path(word).ok().map(|url| Address {
                url,
                credential: None,
            })
        } else if is_name(word) {
            let url = self.alias.join(&format!("{}/", word.trim_end_matches('/')));
            url.ok().map(|url| Address {
                url,
                credential: self.credential.clone(),
            })
        } else {
            None
        };
        let Some(address) = address else {
            return Err(Trouble::InvalidDeclaration.error(format!(
                "the channel {} is neither a name (conda-forge) nor an address that begins with https://, http:// or \
                 file://, nor the absolute path of a folder",
                shown(word)
            )));
        };
        let url = without_platform(with_slash(address.url));
        let source = Source {
            name: short_name(&url),
            url,
        };
        Ok((source, address.credential))
    }
}

impl Resolved {
    fn add(&mut self, source: Source, credential: Option<Credential>) {
        if !self.sources.contains(&source) {
            self.sources.push(source);
        }
        self.credentials.extend(credential);
    }
}

impl Source {
    /// In rattler's words.
    pub(super) fn channel(&self) -> Channel {
        Channel {
            platforms: None,
            base_url: self.url.clone().into(),
            name: Some(self.name.clone()),
        }
    }

    /// Whether it is a folder of this machine, which is read anew each time.
    pub(super) fn is_local(&self) -> bool {
        self.url.scheme() == "file"
    }

    /// For people: the name and whom it is fetched from.
    pub(super) fn shown(&self) -> String {
        match self.url.host_str() {
            Some(host) if host != self.name => format!("{} ({host})", self.name),
            Some(host) => host.to_owned(),
            None => format!("{} ({})", self.name, self.url.path()),
        }
    }
}

/// The channel's name in its address: the last part of the path, and what makes no sense without the part before it.
pub(super) fn short_name(url: &Url) -> String {
    let parts: Vec<&str> = url
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let label = parts
        .iter()
        .position(|part| *part == "label")
        .filter(|at| *at > 0);
    let name = match (label, parts.as_slice()) {
        (Some(label), parts) => parts[label - 1..].join("/"),
        (None, [.., "pkgs", name]) => format!("pkgs/{name}"),
        (None, [.., name]) => (*name).to_owned(),
        (None, []) => url.host_str().unwrap_or("/").to_owned(),
    };
    percent_encoding::percent_decode_str(&name)
        .decode_utf8_lossy()
        .into_owned()
}

/// `conda-forge`, `pkgs/main`, `company/label/dev`.
fn is_name(word: &str) -> bool {
    let is_part = |part: &str| {
        let mut characters = part.chars();
        !part.is_empty()
            && !part.starts_with('.')
            && characters.all(|character| character.is_alphanumeric() || "._-".contains(character))
    };
    word.trim_end_matches('/').split('/').all(is_part)
}

/// A wrong word may be an address with a secret, written wrongly.
fn shown(word: &str) -> String {
    if word.contains(['@', ':', '?']) || word.contains("/t/") {
        "whose address is hidden here, as it may hold a secret,".to_owned()
    } else {
        format!("{word:?}")
    }
}

fn with_slash(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{path}/"));
    url
}

/// Channels used to be named with their platform: `https://host/channel/linux-64`.
fn without_platform(url: Url) -> Url {
    let path = url.path().trim_end_matches('/').to_owned();
    match path.rsplit_once('/') {
        Some((channel, platform)) if !channel.is_empty() && Subdir::from_str(platform).is_ok() => {
            let mut url = url;
            url.set_path(&format!("{channel}/"));
            url
        }
        _ => url,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(meanings: &[(&str, &[&str])]) -> Channels {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let meanings = meanings
            .iter()
            .map(|(name, meaning)| ((*name).to_owned(), owned(meaning)))
            .collect();
        Channels::new("https://conda.anaconda.org", &meanings).unwrap()
    }

    fn resolve(channels: &Channels, words: &[&str]) -> Vec<(String, String)> {
        let resolved = channels.resolve(words.iter().copied()).unwrap();
        let pair = |source: Source| (source.name, source.url.into());
        resolved.sources.into_iter().map(pair).collect()
    }

    fn urls(channels: &Channels, words: &[&str]) -> Vec<String> {
        let pairs = resolve(channels, words).into_iter();
        pairs.map(|(_, url)| url).collect()
    }

    #[test]
    fn a_name_is_below_the_alias_whether_that_ends_with_a_slash_or_not() {
        for alias in ["https://host/conda", "https://host/conda/"] {
            let channels = Channels::new(alias, &BTreeMap::new()).unwrap();
            assert_eq!(
                urls(&channels, &["conda-forge"]),
                ["https://host/conda/conda-forge/"]
            );
        }
        assert!(Channels::new("conda-forge", &BTreeMap::new()).is_none());
    }

    #[test]
    fn defaults_no_channel_at_all_and_conda_forge_are_the_same() {
        let forge = ["https://conda.anaconda.org/conda-forge/"];
        for words in [
            &["defaults"][..],
            &[],
            &["nodefaults"],
            &["conda-forge", "defaults"],
            &["https://conda.anaconda.org/conda-forge/linux-64"],
        ] {
            assert_eq!(urls(&channels(&[]), words), forge, "{words:?}");
        }
    }

    #[test]
    fn a_meaning_may_be_several_channels_and_stand_for_other_meanings() {
        let channels = channels(&[
            ("defaults", &["company", "conda-forge"]),
            ("conda-forge", &["https://nexus/conda-forge"]),
            ("company", &["file:///srv/company", "company"]),
        ]);
        assert_eq!(
            resolve(&channels, &["defaults", "bioconda", "company"]),
            [
                ("company", "file:///srv/company/"),
                ("company", "https://conda.anaconda.org/company/"),
                ("conda-forge", "https://nexus/conda-forge/"),
                ("bioconda", "https://conda.anaconda.org/bioconda/"),
            ]
            .map(|(name, url)| (name.to_owned(), url.to_owned()))
        );
    }

    #[test]
    fn an_address_has_the_meaning_of_the_name_that_stands_for_it_and_meanings_by_address_hold() {
        let channels = channels(&[
            ("conda-forge", &["https://nexus/conda-forge"]),
            (
                "https://repo.anaconda.com/pkgs/main/",
                &["https://nexus/main"],
            ),
        ]);
        assert_eq!(
            urls(
                &channels,
                &[
                    "https://conda.anaconda.org/conda-forge",
                    "https://repo.anaconda.com/pkgs/main"
                ]
            ),
            ["https://nexus/conda-forge/", "https://nexus/main/"]
        );
    }

    #[test]
    fn meanings_in_a_circle_end() {
        let channels = channels(&[("a", &["b"]), ("b", &["a"])]);
        assert_eq!(urls(&channels, &["a"]), ["https://conda.anaconda.org/a/"]);
    }

    #[test]
    fn folders_are_channels() {
        assert_eq!(
            resolve(&channels(&[]), &["/srv/my channels/one"]),
            [(
                "one".to_owned(),
                "file:///srv/my%20channels/one/".to_owned()
            )]
        );
    }

    #[test]
    fn credentials_are_kept_apart() {
        let resolved = channels(&[])
            .resolve(["https://me:word@host/private"])
            .unwrap();
        assert_eq!(resolved.sources[0].url.as_str(), "https://host/private/");
        assert_eq!(resolved.credentials.len(), 1);
        assert_eq!(resolved.credentials[0].0, "host");
    }

    #[test]
    fn short_names_are_what_people_call_a_channel() {
        for (url, name) in [
            ("https://conda.anaconda.org/conda-forge/", "conda-forge"),
            ("https://repo.anaconda.com/pkgs/main/", "pkgs/main"),
            (
                "https://conda.anaconda.org/company/label/dev/",
                "company/label/dev",
            ),
            ("file:///srv/channels/own/", "own"),
            ("https://host/", "host"),
        ] {
            assert_eq!(short_name(&Url::parse(url).unwrap()), name);
        }
    }

    #[test]
    fn what_is_no_channel_is_refused_without_showing_secrets() {
        let channels = channels(&[]);
        for word in [
            "",
            "..",
            "./own",
            "a b",
            "s3://bucket/x",
            "user:secret@host/x",
        ] {
            let error = channels.resolve([word]).err().unwrap();
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{word}");
            assert!(!error.message.contains("secret@"), "{error}");
        }
    }
}
