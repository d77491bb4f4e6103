//! Where builds look for conda channels, by what the configuration says: its meanings, its alias, its mirrors.

use std::cmp::Reverse;

use gateway::config::{Address, CondaConfig};

/// What MLflow declares for every model that it logs.
const OF_MLFLOW: &str = "conda-forge";

/// How often a meaning may stand for another one.
const DEEPEST: usize = 8;

/// A channel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Channel {
    /// Where it is, in the order of asking: the first that answers will do.
    pub(super) places: Vec<Address>,
    /// Whether most models want it; others only some.
    pub(super) is_needed: bool,
}

/// The channels that models logged by MLflow declare, then those that the configuration names, each once.
pub(super) fn of_channels(conda: &CondaConfig) -> Vec<Channel> {
    let mut addresses = Vec::new();
    if let Ok(name) = Address::channel(OF_MLFLOW) {
        resolve(conda, &name, &mut Vec::new(), &mut addresses);
    }
    let needed = addresses.len();
    for name in conda.channels.keys() {
        resolve(conda, name, &mut Vec::new(), &mut addresses);
    }
    let channels = addresses.iter().enumerate();
    channels
        .map(|(place, address)| Channel {
            places: places(conda, address),
            is_needed: place < needed,
        })
        .collect()
}

/// Adds the addresses that a name stands for. `above` are the names whose meaning it is part of: among its own meaning,
/// a name is just that channel.
fn resolve<'a>(
    conda: &'a CondaConfig,
    name: &'a Address,
    above: &mut Vec<&'a Address>,
    addresses: &mut Vec<Address>,
) {
    let meant = conda.channels.get(name);
    if let Some(meant) = meant.filter(|_| above.len() < DEEPEST && !above.contains(&name)) {
        above.push(name);
        for name in meant {
            resolve(conda, name, above, addresses);
        }
        above.pop();
        return;
    }
    let address = if name.expose().contains("://") {
        name.clone()
    } else {
        conda.channel_alias.below(name.expose())
    };
    if !addresses.contains(&address) {
        addresses.push(address);
    }
}

/// The mirrors of an address, or itself. The longest beginning that has mirrors decides.
fn places(conda: &CondaConfig, address: &Address) -> Vec<Address> {
    let whole = format!("{}/", address.expose());
    let mut mirrors: Vec<_> = conda.mirrors.iter().collect();
    mirrors.sort_by_key(|(prefix, _)| Reverse(prefix.expose().len()));
    let mirrored = mirrors.into_iter().find_map(|(prefix, mirrors)| {
        let prefix = format!("{}/", prefix.expose().trim_end_matches('/'));
        let rest = whole.strip_prefix(&prefix)?.trim_end_matches('/');
        let mirrors = mirrors.iter().map(|mirror| mirror.below(rest));
        Some(mirrors.collect())
    });
    mirrored.unwrap_or_else(|| vec![address.clone()])
}

#[cfg(test)]
mod tests {
    use gateway::config::{Config, Overrides};

    use super::*;

    fn shown(pairs: &[(&str, &str)]) -> Vec<(Vec<String>, bool)> {
        let variables = [("HOME", "/")].iter().chain(pairs);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Config::load_local(Overrides::default(), variables).unwrap();
        let channels = of_channels(&config.conda).into_iter();
        let channels = channels.map(|channel| {
            let places = channel.places.iter().map(|place| place.expose().to_owned());
            (places.collect(), channel.is_needed)
        });
        channels.collect()
    }

    fn one(place: &str, is_needed: bool) -> (Vec<String>, bool) {
        (vec![place.to_owned()], is_needed)
    }

    #[test]
    fn without_a_word_it_is_conda_forge_below_the_alias() {
        assert_eq!(
            shown(&[]),
            [one("https://conda.anaconda.org/conda-forge", true)]
        );
    }

    #[test]
    fn meanings_come_before_the_alias_and_the_longest_mirror_before_an_address() {
        let channels = r#"{"conda-forge": ["file:///srv/forge", "conda-forge"], "defaults": "https://pkgs.example/main"}"#;
        let mirrors = r#"{"https://conda.anaconda.org": "https://wide.example",
            "https://conda.anaconda.org/conda-forge": ["https://one.example/cf/", "https://two.example/cf"],
            "https://pkgs.exam": "https://other.example"}"#;
        let all = shown(&[
            ("SLUICEGATE_CONDA_CHANNELS", channels),
            ("SLUICEGATE_CONDA_MIRRORS", mirrors),
        ]);
        let mirrored = ["https://one.example/cf", "https://two.example/cf"];
        assert_eq!(
            all,
            [
                one("file:///srv/forge", true),
                (mirrored.map(str::to_owned).into(), true),
                one("https://pkgs.example/main", false),
            ]
        );
    }

    #[test]
    fn meanings_that_go_round_in_circles_come_to_an_end() {
        let channels = r#"{"a": "b", "b": "a"}"#;
        let all = shown(&[("SLUICEGATE_CONDA_CHANNELS", channels)]);
        let below = |name: &str| one(&format!("https://conda.anaconda.org/{name}"), false);
        assert!(all.contains(&below("a")) && all.contains(&below("b")));
    }
}
