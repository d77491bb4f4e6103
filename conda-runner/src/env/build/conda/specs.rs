//! The packages that a `conda.yaml` wants, understood as leniently as conda does.

use std::collections::BTreeMap;

use rattler_conda_types::{MatchSpec, PackageName, ParseMatchSpecOptions, RepoDataRecord};
use serving_core::LoadError;
use url::Url;

use super::channels::{Channels, Resolved, Source};
use crate::env::build::CondaWanted;
use crate::env::secrets::redacted;
use crate::env::trouble::Trouble;

/// What is to be solved.
#[derive(Clone)]
pub(super) struct Specs {
    /// Each with a name, and without a channel: see `only_from`.
    pub(super) wanted: Vec<MatchSpec>,
    /// All channels that are asked.
    pub(super) channels: Resolved,
    /// The channels that packages have to come from which are wanted like `conda-forge::numpy`.
    only_from: BTreeMap<PackageName, Vec<Url>>,
}

impl Specs {
    /// Understands what is `wanted`.
    pub(super) fn new(wanted: &CondaWanted, channels: &Channels) -> Result<Self, LoadError> {
        let mut all = Self {
            wanted: Vec::new(),
            channels: channels.resolve(wanted.channels.iter().map(String::as_str))?,
            only_from: BTreeMap::new(),
        };
        for text in &wanted.packages {
            all.add(text.trim(), channels)?;
        }
        Ok(all)
    }

    fn add(&mut self, text: &str, channels: &Channels) -> Result<(), LoadError> {
        let invalid = |reason: &str| {
            Trouble::InvalidDeclaration.error(format!(
                "conda.yaml wants {:?}, which is no name of a package with versions, \
                 such as `numpy`, `python=3.11.7` or `numpy>=1.2,<2`: {reason}",
                redacted(text)
            ))
        };
        // The channel may be an address, and is translated like all others.
        let (channel, spec) = match text.split_once("::") {
            Some((channel, spec)) => (Some(channel.to_owned()), spec),
            None => (None, text),
        };
        let parsed = MatchSpec::from_str(spec, ParseMatchSpecOptions::lenient());
        let mut spec = parsed.map_err(|error| invalid(&redacted(&error.to_string())))?;
        let name = spec.name.as_exact().cloned();
        let name = name.ok_or_else(|| invalid("it names no single package"))?;
        let bracketed = spec.channel.take().map(|channel| {
            let by_address = || channel.base_url.as_str().to_owned();
            channel.name.clone().unwrap_or_else(by_address)
        });
        if let Some(channel) = channel.or(bracketed) {
            let resolved = channels.resolve([channel.as_str()])?;
            let urls = resolved.sources.iter().map(|source| source.url.clone());
            self.only_from.entry(name).or_default().extend(urls);
            for source in resolved.sources {
                if !self.channels.sources.contains(&source) {
                    self.channels.sources.push(source);
                }
            }
            self.channels.credentials.extend(resolved.credentials);
        }
        self.wanted.push(spec);
        Ok(())
    }

    /// Whether a record's channel is one that its package may come from.
    pub(super) fn is_allowed(&self, record: &RepoDataRecord) -> bool {
        match self.only_from.get(&record.package_record.name) {
            None => true,
            Some(urls) => urls
                .iter()
                .any(|url| record.url.as_str().starts_with(url.as_str())),
        }
    }

    /// The names of the channels that a package may come from, for people.
    pub(super) fn channels_of(&self, name: &PackageName) -> Vec<String> {
        let sources = self.channels.sources.iter();
        let urls = self.only_from.get(name);
        let asked = sources.filter(|source| urls.is_none_or(|urls| urls.contains(&source.url)));
        asked.map(Source::shown).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn specs(packages: &[&str]) -> Result<Specs, LoadError> {
        let channels = Channels::new("https://host", &BTreeMap::new()).unwrap();
        let wanted = CondaWanted {
            channels: vec!["conda-forge".to_owned()],
            packages: packages.iter().map(|text| (*text).to_owned()).collect(),
        };
        Specs::new(&wanted, &channels)
    }

    #[test]
    fn what_mlflow_and_people_write_is_understood_as_conda_does() {
        for (written, meant) in [
            ("python=3.11.7", "python 3.11.7.*"),
            ("python==3.8", "python ==3.8"),
            ("python 3.10.*", "python 3.10.*"),
            ("pip<=23.2.1", "pip <=23.2.1"),
            ("pip", "pip"),
            ("numpy >=1.2,<2", "numpy >=1.2,<2"),
            ("numpy>=1.2, <2", "numpy >=1.2,<2"),
            ("scikit-learn=1.2.2=py310*", "scikit-learn ==1.2.2 py310*"),
            ("openssl 3.0.0 h1234_0", "openssl ==3.0.0 h1234_0"),
            ("conda-forge::x=1", "x 1.*"),
            ("Pillow", "pillow"),
        ] {
            let specs = specs(&[written]).unwrap_or_else(|error| panic!("{written}: {error}"));
            let spec = &specs.wanted[0];
            let name = spec.name.as_exact().unwrap().as_normalized().to_owned();
            let rest = spec.to_string();
            let rest = rest.split_once(' ').map(|(_, rest)| format!(" {rest}"));
            assert_eq!(
                format!("{name}{}", rest.unwrap_or_default()),
                meant,
                "{written}"
            );
        }
    }

    #[test]
    fn a_channel_of_one_package_is_asked_last_and_translated() {
        let specs = specs(&["https://me:word@host/own/::x=1", "y"]).unwrap();
        let names: Vec<&str> = specs
            .channels
            .sources
            .iter()
            .map(|source| source.name.as_str())
            .collect();
        assert_eq!(names, ["conda-forge", "own"]);
        assert_eq!(specs.channels.credentials.len(), 1);
        let name = |name: &str| PackageName::new_unchecked(name);
        assert_eq!(specs.channels_of(&name("x")), ["own (host)"]);
        assert_eq!(specs.channels_of(&name("y")).len(), 2);
    }

    #[test]
    fn what_is_no_package_is_refused_and_named() {
        for written in ["", "numpy >>1", "*", "numpy=="] {
            let error = specs(&[written]).err().unwrap();
            assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"));
            assert!(error.message.contains(&format!("{written:?}")), "{error}");
        }
    }
}
