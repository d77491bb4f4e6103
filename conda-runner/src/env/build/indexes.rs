//! Which package indexes are asked, in the words of uv and of pip. Addresses may hold passwords, so they reach a
//! program in its environment, never in its command line or in a file.

use super::pip::PipSettings;
use crate::process::host::Host;

/// Where all packages come from unless somebody says otherwise.
const PYPI: &str = "https://pypi.org/simple";

/// Settings that spoil an installation into an environment that is not the one the settings were made for.
const NEUTRAL: [(&str, &str); 8] = [
    ("PIP_REQUIRE_VIRTUALENV", "false"),
    ("PIP_USER", "false"),
    // Some conda packages of Python say that only conda may install into it, which is what a build does not want.
    ("PIP_BREAK_SYSTEM_PACKAGES", "true"),
    ("UV_BREAK_SYSTEM_PACKAGES", "true"),
    ("PIP_NO_INPUT", "true"),
    ("PIP_DISABLE_PIP_VERSION_CHECK", "true"),
    // A person's own packages are no part of an environment.
    ("PYTHONNOUSERSITE", "1"),
    ("NO_COLOR", "1"),
];

/// The indexes of one installation.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Indexes {
    /// `None` is PyPI.
    default: Option<String>,
    extra: Vec<String>,
    /// Hosts whose certificates are not checked, as pip writes them.
    trusted: Option<String>,
    offline: bool,
}

impl Indexes {
    /// What the settings say, or else the variables of pip and uv in the host's environment.
    pub(crate) fn new(settings: &PipSettings, host: &Host) -> Self {
        let variable = |names: &[&str]| {
            let mut values = names.iter().filter_map(|name| host.variable(name));
            values.find(|value| !value.trim().is_empty())
        };
        let extra = variable(&["UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"]);
        let extra = extra.unwrap_or_default().split_whitespace();
        let default = variable(&["UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"]);
        Self {
            default: settings
                .index_url
                .clone()
                .or_else(|| default.map(|index| address(index).to_owned())),
            extra: if settings.extra_index_urls.is_empty() {
                extra.map(|index| address(index).to_owned()).collect()
            } else {
                settings.extra_index_urls.clone()
            },
            trusted: variable(&["UV_INSECURE_HOST", "PIP_TRUSTED_HOST"]).map(str::to_owned),
            offline: settings.offline,
        }
    }

    /// The same with nothing but what is cached.
    pub(crate) fn offline(&self) -> Self {
        Self {
            offline: true,
            ..self.clone()
        }
    }

    /// Whether only what is cached may be used.
    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    /// The variables that tell uv and pip, and what the programs inherit besides is overridden by them.
    pub(crate) fn variables(&self, host: &Host) -> Vec<(&'static str, String)> {
        let mut all: Vec<(&str, String)> = NEUTRAL
            .into_iter()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        // Else uv fetches a missing Python from GitHub, and tries for long.
        all.push(("UV_PYTHON_DOWNLOADS", "never".to_owned()));
        all.push(("UV_NO_PROGRESS", "1".to_owned()));
        if let Some(index) = &self.default {
            all.push(("PIP_INDEX_URL", index.clone()));
            all.push(("UV_DEFAULT_INDEX", index.clone()));
            all.push(("UV_INDEX_URL", String::new()));
        }
        if !self.extra.is_empty() {
            all.push(("PIP_EXTRA_INDEX_URL", self.extra.join(" ")));
            all.push(("UV_INDEX", self.extra.join(" ")));
            all.push(("UV_EXTRA_INDEX_URL", String::new()));
        }
        if let Some(hosts) = &self.trusted {
            all.push(("PIP_TRUSTED_HOST", hosts.clone()));
            all.push(("UV_INSECURE_HOST", hosts.clone()));
        }
        all.extend(translated(host));
        if self.offline {
            all.push(("PIP_NO_INDEX", "true".to_owned()));
        }
        all
    }

    /// For people: all addresses, without what may be secret in them.
    pub(crate) fn shown(&self) -> String {
        let default = self.default.as_deref().unwrap_or(PYPI);
        let all = std::iter::once(default).chain(self.extra.iter().map(String::as_str));
        all.map(without_secrets).collect::<Vec<_>>().join(", ")
    }
}

/// What else of pip's settings uv has other words for, where it has not been told itself.
fn translated(host: &Host) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    let mut translate = |pip: &str, uv: &'static str, change: fn(&str) -> String| {
        if let (Some(value), None) = (host.variable(pip), host.variable(uv)) {
            all.push((uv, change(value)));
        }
    };
    translate("PIP_CERT", "SSL_CERT_FILE", str::to_owned);
    translate("PIP_FIND_LINKS", "UV_FIND_LINKS", |links| {
        links.split_whitespace().collect::<Vec<_>>().join(",")
    });
    if host.variable("UV_INDEX_STRATEGY").is_none() {
        // pip looks on, in the other indexes, for a version that the first does not have. So does uv then, but the
        // first index that has one is the one that is taken, so a stranger cannot offer a higher one in another.
        all.push(("UV_INDEX_STRATEGY", "unsafe-first-match".to_owned()));
    }
    all
}

/// uv lets an index have a name: `internal=https://host/simple`.
fn address(index: &str) -> &str {
    match index.split_once('=') {
        Some((name, address)) if !name.contains([':', '/']) => address,
        _ => index,
    }
}

/// The text with the credentials cut out of each URL in it.
pub(crate) fn without_secrets(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let authority = after
            .find(|end: char| end.is_whitespace() || "/?#\"'`<>)".contains(end))
            .unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(at) => &after[at + 1..],
            None => after,
        };
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio_util::task::TaskTracker;

    use super::*;

    fn host(variables: &[(&str, &str)]) -> Host {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let all: Vec<_> = variables.iter().map(owned).collect();
        Host::new(&all, TaskTracker::new())
    }

    /// What a program sees of these variables in the end.
    fn seen(settings: &PipSettings, inherited: &[(&str, &str)]) -> BTreeMap<String, String> {
        let host = host(inherited);
        let variables = Indexes::new(settings, &host).variables(&host);
        let more = variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        host.environment(None, more).into_iter().collect()
    }

    #[test]
    fn settings_of_the_gateway_go_before_everything_inherited_for_uv_and_pip() {
        let settings = PipSettings {
            index_url: Some("https://own/simple".to_owned()),
            extra_index_urls: vec!["https://a/".to_owned(), "https://b/".to_owned()],
            ..PipSettings::default()
        };
        let inherited = [
            ("PIP_INDEX_URL", "https://pip/"),
            ("UV_INDEX_URL", "https://uv/"),
            ("UV_EXTRA_INDEX_URL", "https://more/"),
        ];
        let seen = seen(&settings, &inherited);
        assert_eq!(seen["PIP_INDEX_URL"], "https://own/simple");
        assert_eq!(seen["UV_DEFAULT_INDEX"], "https://own/simple");
        assert_eq!(seen["UV_INDEX_URL"], "");
        assert_eq!(seen["PIP_EXTRA_INDEX_URL"], "https://a/ https://b/");
        assert_eq!(seen["UV_INDEX"], "https://a/ https://b/");
        assert_eq!(seen["UV_EXTRA_INDEX_URL"], "");
    }

    #[test]
    fn what_is_meant_for_pip_reaches_uv_and_the_other_way_round() {
        let uv = seen(
            &PipSettings::default(),
            &[
                ("PIP_INDEX_URL", "https://pip/"),
                ("PIP_EXTRA_INDEX_URL", "https://a/ https://b/"),
                ("PIP_TRUSTED_HOST", "pip:8080"),
                ("PIP_CERT", "/etc/own.pem"),
                ("PIP_FIND_LINKS", "/wheels /more"),
                ("PIP_REQUIRE_VIRTUALENV", "1"),
            ],
        );
        assert_eq!(uv["UV_DEFAULT_INDEX"], "https://pip/");
        assert_eq!(uv["UV_INDEX"], "https://a/ https://b/");
        assert_eq!(uv["UV_INSECURE_HOST"], "pip:8080");
        assert_eq!(uv["SSL_CERT_FILE"], "/etc/own.pem");
        assert_eq!(uv["UV_FIND_LINKS"], "/wheels,/more");
        assert_eq!(uv["PIP_REQUIRE_VIRTUALENV"], "false");
        let pip = seen(
            &PipSettings::default(),
            &[("UV_DEFAULT_INDEX", "own=https://uv/simple")],
        );
        assert_eq!(pip["PIP_INDEX_URL"], "https://uv/simple");
    }

    #[test]
    fn without_settings_nobody_is_told_of_an_index() {
        let seen = seen(&PipSettings::default(), &[]);
        assert!(seen.keys().all(|name| !name.contains("INDEX_URL")));
        assert!(!seen.contains_key("PIP_NO_INDEX"));
    }

    #[test]
    fn passwords_are_cut_out_of_every_address() {
        let settings = PipSettings {
            index_url: Some("https://me:p@ss@own/simple".to_owned()),
            extra_index_urls: vec!["https://token@b/".to_owned()],
            ..PipSettings::default()
        };
        let shown = Indexes::new(&settings, &host(&[])).shown();
        assert_eq!(shown, "https://own/simple, https://b/");
        for (text, clean) in [
            (
                "fetch git+ssh://git@host/x now",
                "fetch git+ssh://host/x now",
            ),
            (
                "`https://a:b@c` and (http://d)",
                "`https://c` and (http://d)",
            ),
            ("mail me@home", "mail me@home"),
            ("https://host/a@b", "https://host/a@b"),
        ] {
            assert_eq!(without_secrets(text), clean);
        }
    }
}
