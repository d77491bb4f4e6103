//! Channels of conda as a value: the addresses that they mean, without how they are written.

use std::collections::BTreeMap;

use crate::config::CondaConfig;

/// What `defaults` means unless the operator says otherwise: Anaconda's own channels are not free for everybody.
const DEFAULTS: (&str, &str) = ("defaults", "conda-forge");
/// How often a meaning may stand for another one.
const DEEPEST: usize = 8;

/// What names of channels mean here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Channels {
    alias: String,
    /// By the address that a name would have by itself.
    meanings: BTreeMap<String, Vec<String>>,
}

impl Channels {
    /// By the operator's words. Mirrors are left out: they change nothing about what a channel holds.
    pub(crate) fn new(config: &CondaConfig) -> Self {
        let mut channels = Self {
            alias: address(&config.channel_alias),
            meanings: BTreeMap::new(),
        };
        let (defaults, forge) = DEFAULTS;
        channels.mean(defaults, &[forge.to_owned()]);
        for (name, meaning) in &config.channels {
            channels.mean(name, meaning);
        }
        channels
    }

    /// The addresses that a channel of a declaration means, in the order of their priority.
    pub(crate) fn meant(&self, name: &str) -> Vec<String> {
        self.all_meant(&[name.to_owned()])
    }

    /// The same for a list. A channel that is named again adds nothing.
    pub(crate) fn all_meant(&self, names: &[String]) -> Vec<String> {
        let mut all = Vec::new();
        for name in names {
            self.add(self.own_address(name), &mut Vec::new(), &mut all);
        }
        all
    }

    fn mean(&mut self, name: &str, meaning: &[String]) {
        let addresses = meaning.iter().map(|name| self.own_address(name)).collect();
        self.meanings.insert(self.own_address(name), addresses);
    }

    /// `above` are those whose meaning `address` is part of: among its own meaning, a channel is just itself.
    fn add(&self, address: String, above: &mut Vec<String>, all: &mut Vec<String>) {
        let meaning = self.meanings.get(&address);
        let is_end = above.contains(&address) || above.len() >= DEEPEST;
        let Some(meaning) = meaning.filter(|_| !is_end) else {
            if !all.contains(&address) {
                all.push(address);
            }
            return;
        };
        above.push(address);
        for address in meaning {
            self.add(address.clone(), above, all);
        }
        above.pop();
    }

    fn own_address(&self, name: &str) -> String {
        let name = name.trim();
        if name.contains("://") {
            address(name)
        } else if name.starts_with('/') {
            address(&format!("file://{name}"))
        } else {
            address(&format!("{}/{name}", self.alias))
        }
    }
}

/// An address without what does not belong to it: a credential (`user:password@`, `/t/TOKEN`), slashes at the end, the
/// case of a host's name.
fn address(text: &str) -> String {
    let text = text.trim().trim_end_matches('/');
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let path = path
        .strip_prefix("/t/")
        .map_or(path, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
    format!(
        "{}://{}{path}",
        scheme.to_ascii_lowercase(),
        host.to_ascii_lowercase()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &[&str])]) -> CondaConfig {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CondaConfig {
            channels: pairs
                .iter()
                .map(|(name, meant)| ((*name).to_owned(), texts(meant)))
                .collect(),
            ..CondaConfig::default()
        }
    }

    #[test]
    fn a_name_and_its_address_are_the_same_channel() {
        let channels = Channels::new(&CondaConfig::default());
        let forge = channels.meant("conda-forge");
        assert_eq!(forge, ["https://conda.anaconda.org/conda-forge"]);
        for same in [
            "conda-forge/",
            " conda-forge ",
            "https://conda.anaconda.org/conda-forge",
            "HTTPS://Conda.Anaconda.Org/conda-forge//",
            "https://anna:secret@conda.anaconda.org/conda-forge",
            "https://conda.anaconda.org/t/to-ken/conda-forge",
            "defaults",
        ] {
            assert_eq!(channels.meant(same), forge, "{same}");
        }
        for other in [
            "Conda-Forge",
            "conda-forge/label/dev",
            "bioconda",
            "http://conda.anaconda.org/conda-forge",
        ] {
            assert_ne!(channels.meant(other), forge, "{other}");
        }
        assert_eq!(
            channels.meant("/srv/channel"),
            channels.meant("file:///srv/channel/")
        );
    }

    #[test]
    fn the_operators_mapping_says_what_is_meant() {
        let channels = Channels::new(&config(&[
            ("conda-forge", &["https://own/forge/", "conda-forge"]),
            ("https://old/channel", &["new"]),
            ("new", &["newer"]),
        ]));
        assert_eq!(
            channels.meant("https://conda.anaconda.org/conda-forge"),
            [
                "https://own/forge",
                "https://conda.anaconda.org/conda-forge"
            ]
        );
        assert_eq!(
            channels.meant("https://old/channel/"),
            ["https://conda.anaconda.org/newer"]
        );
        let names = ["conda-forge", "bioconda", "https://own/forge"].map(str::to_owned);
        assert_eq!(channels.all_meant(&names).len(), 3);
    }

    #[test]
    fn mirrors_and_credentials_change_no_channel() {
        let plain = CondaConfig::default();
        let more = CondaConfig {
            mirrors: BTreeMap::from([("https://a".to_owned(), vec!["https://b".to_owned()])]),
            channel_alias: "https://user:word@conda.anaconda.org/".to_owned(),
            credentials: Some("/etc/credentials.json".into()),
            ..CondaConfig::default()
        };
        assert_eq!(Channels::new(&plain), Channels::new(&more));
    }
}
