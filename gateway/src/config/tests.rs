//! The three sources, their order, what is refused, and what is shown.

use std::io::Write;

use super::*;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let home = [("HOME", "/home/ada")];
    home.iter()
        .chain(pairs)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn registry(url: &str) -> Overrides {
    Overrides {
        registry: Some(url.to_owned()),
        ..Overrides::default()
    }
}

/// Loads a file of that text, and hides its random name in errors.
fn load_file(
    text: &str,
    environment: &[(&str, &str)],
    overrides: Overrides,
) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_owned();
    let overrides = Overrides {
        config: Some(path.clone()),
        ..overrides
    };
    Config::load(overrides, variables(environment)).map_err(|error| {
        error
            .to_string()
            .replace(path.to_str().unwrap(), "gate.toml")
    })
}

#[test]
fn the_least_that_works_is_a_registry() {
    let config = Config::load(registry("http://mlflow:5000"), variables(&[])).unwrap();
    insta::assert_snapshot!(config.render());
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let file =
        "registry = 'http://file:1'\nlisten = '127.0.0.1:1'\ntimeout = 5\n[log]\nlevel = 'debug'\n";
    let environment = [
        ("SLUICEGATE_REGISTRY", "http://variable:2"),
        ("SLUICEGATE_LISTEN", "127.0.0.1:2"),
        ("SLUICEGATE_AUTH_ENABLED", "false"),
        ("SLUICEGATE_ENABLE", "iris, fraud cards"),
    ];
    let config = load_file(file, &environment, registry("http://flag:3")).unwrap();
    assert_eq!(config.registry.url.as_str(), "http://flag:3/");
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.timeout, Duration::from_secs(5));
    assert_eq!(config.log.level, "debug");
    assert!(!config.auth.enabled);
    assert_eq!(config.enable, ["iris", "fraud cards"]);
}

#[test]
fn every_problem_is_reported_with_its_place_and_what_is_allowed() {
    let file = "listn = '127.0.0.1:1'\nbody_limit = '16 apples'\nenable = 'iris'\npoll_interval = '1ms'\n\
                [auth]\nright = 'grants'\nenabled = 'maybe'\nrights_age = '1ms'\ndefault_permission = 'OWN'\n[log]\nformat = 'xml'\n[colours]\nred = 1\n";
    let environment = [
        ("SLUICEGATE_POL_INTERVAL", "5s"),
        ("SLUICEGATE_TIMEOUT", "soon"),
        ("SLUICEGATE_LISTEN", "8080"),
        ("SLUICEGATE_PUBLIC_URL", "models.example.org"),
        ("MLFLOW_TRACKING_USERNAME", "ada"),
    ];
    let overrides = Overrides {
        rights: Some("registri".to_owned()),
        env_manager: Some("condo".to_owned()),
        ..registry("http://ada:hunter2@mlflow:5000")
    };
    let error = load_file(file, &environment, overrides).unwrap_err();
    assert!(!error.contains("hunter2"));
    insta::assert_snapshot!(error);
}

#[test]
fn the_memory_for_bodies_follows_their_limit_and_holds_one_at_least() {
    let load = |file| load_file(file, &[], registry("http://mlflow:5000"));
    let memory = |file| load(file).unwrap().body_memory;
    assert_eq!(memory("body_limit = '1MB'"), 64 << 20);
    assert_eq!(memory("body_memory = '20MB'"), 20 << 20);
    let error = load("body_memory = '8MB'").unwrap_err();
    assert!(error.contains("at least body_limit, 16MB"), "{error}");
}

#[test]
fn a_registry_is_needed_and_a_place_for_the_data() {
    let error = Config::load(Overrides::default(), []).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_showing_its_text() {
    let error = load_file("registry_password = 'hunter2\n", &[], Overrides::default()).unwrap_err();
    assert!(error.contains("is not TOML (line 1)"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn secrets_are_read_and_never_shown() {
    let environment = [
        ("MLFLOW_TRACKING_USERNAME", "ada"),
        ("MLFLOW_TRACKING_PASSWORD", "hunter2"),
        ("MLFLOW_TRACKING_TOKEN", "hush"),
    ];
    let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
    let RegistryCredentials::Basic { username, password } = &config.registry.credentials else {
        panic!("a user and a password win over a token");
    };
    assert_eq!((username.as_str(), password.expose()), ("ada", "hunter2"));
    for shown in [config.render(), format!("{config:?}")] {
        assert!(
            !shown.contains("hunter2") && !shown.contains("hush"),
            "{shown}"
        );
    }
    assert!(
        config
            .render()
            .contains("registry_password = \"***\"  # MLFLOW_TRACKING_PASSWORD")
    );
}

#[test]
fn the_highest_source_chooses_how_the_gateway_shows_who_it_is() {
    const USER: &str = "registry_username = 'ada'\nregistry_password = 'hunter2'\n";
    const TOKEN: &str = "registry_token = 'hush'\n";
    for (file, environment, expected) in [
        (USER, &[][..], "ada:hunter2"),
        (USER, &[("MLFLOW_TRACKING_TOKEN", "new")], "new"),
        (USER, &[("MLFLOW_TRACKING_PASSWORD", "new")], "ada:new"),
        (TOKEN, &[], "hush"),
        (
            TOKEN,
            &[
                ("MLFLOW_TRACKING_USERNAME", "eve"),
                ("MLFLOW_TRACKING_PASSWORD", "new"),
            ],
            "eve:new",
        ),
        (
            "",
            &[
                ("MLFLOW_TRACKING_USERNAME", "eve"),
                ("MLFLOW_TRACKING_PASSWORD", "old"),
                ("SLUICEGATE_REGISTRY_TOKEN", "new"),
            ],
            "new",
        ),
        (
            TOKEN,
            &[("MLFLOW_TRACKING_USERNAME", "eve")],
            "MLFLOW_TRACKING_USERNAME: a password is missing",
        ),
    ] {
        let file = format!("registry = 'http://mlflow:5000'\n{file}");
        let shown = match load_file(&file, environment, Overrides::default()) {
            Err(error) => error,
            Ok(config) => match config.registry.credentials {
                RegistryCredentials::None => "nothing".to_owned(),
                RegistryCredentials::Basic { username, password } => {
                    format!("{username}:{}", password.expose())
                }
                RegistryCredentials::Bearer(token) => token.expose().to_owned(),
            },
        };
        assert!(shown.ends_with(expected), "{environment:?}: {shown}");
    }
}

#[test]
fn no_duration_is_longer_than_a_day() {
    for key in ["poll_interval", "timeout", "drain_timeout"] {
        let load = |value: &str| {
            let file = format!("registry = 'http://mlflow:5000'\n{key} = {value}\n");
            load_file(&file, &[], Overrides::default())
        };
        assert!(load("'24h'").is_ok(), "{key}");
        for value in ["1e19", "'25h'", "86401", "18446744073709551615.0"] {
            let error = load(value).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
    }
}

#[test]
fn what_is_shown_can_be_read_again() {
    let environment = [("SLUICEGATE_ENABLE", "iris"), ("SLUICEGATE_TIMEOUT", "1m")];
    let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
    let again = load_file(&config.render(), &[], Overrides::default()).unwrap();
    assert_eq!(again.timeout, Duration::from_secs(60));
    assert_eq!(again.enable, ["iris"]);
    assert_eq!(again.body_limit, 16 << 20);
}

#[test]
fn variables_of_kubernetes_and_of_the_client_are_no_keys() {
    let environment = [
        ("SLUICEGATE_PORT", "tcp://10.0.0.1:8080"),
        ("SLUICEGATE_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("SLUICEGATE_SERVICE_HOST", "10.0.0.1"),
        ("SLUICEGATE_URL", "http://gate:8080"),
        ("SLUICEGATE_TOKEN", "sgp_x"),
    ];
    assert!(Config::load(registry("http://mlflow:5000"), variables(&environment)).is_ok());
}

#[test]
fn workers_see_named_variables_only() {
    let environment = [
        ("PATH", "/bin"),
        ("LC_ALL", "C.UTF-8"),
        ("MY_FLAG", "1"),
        ("PIP_INDEX_URL", "https://user:hush@index/simple"),
        ("MLFLOW_TRACKING_TOKEN", "hush"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("SLUICEGATE_WORKER_ENVIRONMENT", "MY_FLAG"),
    ];
    let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
    let names = |list: &[(String, String)]| -> Vec<String> {
        list.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(
        names(&config.local.worker_environment),
        ["HOME", "LC_ALL", "MY_FLAG", "PATH"]
    );
    assert_eq!(names(&config.local.build_environment), ["PIP_INDEX_URL"]);
}

#[test]
fn the_data_folder_follows_the_platform() {
    let dir = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
        Config::default_data_dir(pairs).map(|path| path.display().to_string())
    };
    assert_eq!(
        dir(&[("HOME", "/h")]).unwrap(),
        "/h/.local/share/sluicegate"
    );
    assert_eq!(
        dir(&[("HOME", "/h"), ("XDG_DATA_HOME", "/d")]).unwrap(),
        "/d/sluicegate"
    );
    assert_eq!(dir(&[("XDG_DATA_HOME", "relative")]), None);
}

const CONDA: &str = "registry = 'http://mlflow:5000'
offline = true
[conda]
channel_alias = 'https://ada:hunter2@conda.example/'
refresh = '7d'
[conda.channels]
defaults = ['https://repo.anaconda.com/pkgs/main', 'ours']
'https://old.example/ch' = 'https://new.example/t/hunter2/ch'
[conda.mirrors]
'https://conda.anaconda.org' = ['https://mirror.example/conda?key=hunter2']
[pip]
index_url = 'https://hunter2@pypi.example/simple'
extra_index_urls = ['https://ada:hunter2@more.example/simple']
[space]
environments = '50GB'
models = 1048576
";

#[test]
fn where_packages_come_from_is_passed_on_whole_and_shown_without_credentials() {
    let config = load_file(CONDA, &[], Overrides::default()).unwrap();
    let local = &config.local;
    assert!(local.offline);
    assert_eq!(
        local.conda.channel_alias.expose(),
        "https://ada:hunter2@conda.example"
    );
    assert_eq!(local.conda.refresh, Duration::from_secs(7 * 86_400));
    let meant = &local.conda.channels["https://old.example/ch"];
    assert_eq!(meant[0].expose(), "https://new.example/t/hunter2/ch");
    assert_eq!(local.conda.channels["defaults"].len(), 2);
    assert_eq!(local.space.environments, Some(50 << 30));
    assert_eq!(local.space.models, Some(1 << 20));
    assert_eq!(local.space.logs, None);
    let shown = config.render();
    let debug = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !debug.contains("hunter2"));
    let start = shown.find("[conda]").unwrap();
    let end = shown.find("[auth]").unwrap();
    insta::assert_snapshot!(shown[start..end].replace(&origin(&shown), "gate.toml"));
    assert!(load_file(&shown, &[], Overrides::default()).is_ok());
}

/// The file that `refresh` came from.
fn origin(shown: &str) -> String {
    let line = shown.lines().find(|line| line.starts_with("refresh"));
    line.unwrap().rsplit_once("# ").unwrap().1.to_owned()
}

#[test]
fn what_is_printed_of_a_configuration_shows_no_credential_wherever_it_stands() {
    let environment = [
        (
            "SLUICEGATE_CONDA_CHANNELS",
            r#"{"https://ada:hunter2@host/ch": "ours", "https://host/t/hunter2/ch": "ours"}"#,
        ),
        ("PIP_INDEX_URL", "https://ada:hunter2@pypi.example/simple"),
        ("HTTPS_PROXY", "http://ada:hunter2@proxy.example"),
    ];
    let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
    let shown = format!("{config:?}\n{}", config.render());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("PIP_INDEX_URL"), "{shown}");
    let mistyped = r#"{"https:/ada:hunter2@host": "ours"}"#;
    let environment = [("SLUICEGATE_CONDA_CHANNELS", mistyped)];
    let error = Config::load(registry("http://mlflow:5000"), variables(&environment));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("@host") && !error.contains("hunter2"),
        "{error}"
    );
}

#[test]
fn a_variable_holds_a_map_as_json_or_as_an_inline_table() {
    for text in [
        r#"{"defaults": "ours", "a": ["b", "c"], "/srv/old": "ours"}"#,
        "{ defaults = 'ours', a = ['b', 'c'] }",
    ] {
        let environment = [("SLUICEGATE_CONDA_CHANNELS", text)];
        let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
        let meant = |name: &str| -> Vec<String> {
            let meant = config.local.conda.channels[name].iter();
            meant.map(ToString::to_string).collect()
        };
        assert_eq!(meant("defaults"), ["ours"]);
        assert_eq!(meant("a"), ["b", "c"]);
    }
}

#[test]
fn channels_that_are_named_leave_the_meaning_of_defaults_as_it_is() {
    let environment = [(
        "SLUICEGATE_CONDA_CHANNELS",
        r#"{"ours": "file:///srv/ours"}"#,
    )];
    let config = Config::load(registry("http://mlflow:5000"), variables(&environment)).unwrap();
    let channels = &config.local.conda.channels;
    assert_eq!(channels["defaults"][0].expose(), "conda-forge");
    assert_eq!(channels["ours"][0].expose(), "file:///srv/ours");
}

#[test]
fn what_is_wrong_about_packages_and_space_is_told_without_credentials() {
    let file = "constraints = '/nowhere/constraints.txt'
python = '/'
[conda]
channel_alias = 'ada:hunter2'
channels = { 'two words' = 'ours', defaults = [], ours = '/srv/ours', theirs = 'ftp://hunter2@host' }
mirrors = { 'conda-forge' = 'https://hunter2@mirror.example', 'https://a.example' = 'file:///srv/a' }
refresh = '31d'
credentials = '/nowhere/credentials.json'
channel = 'x'
[pip]
index_url = 'hunter2@pypi'
extra_index_urls = ['https://fine.example', 'hunter2']
[space]
environments = 'all'
";
    let environment = [
        ("SLUICEGATE_SPACE_LOGS", "-1"),
        ("SLUICEGATE_OFFLINE", "maybe"),
    ];
    let error = load_file(file, &environment, registry("http://mlflow:5000")).unwrap_err();
    assert!(!error.contains("hunter2"), "{error}");
    insta::assert_snapshot!(error);
    let environment = [("SLUICEGATE_CONDA_MIRRORS", "{hunter2")];
    let error = Config::load(registry("http://mlflow:5000"), variables(&environment));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("as JSON or as an inline table") && !error.contains("hunter2"));
}

#[test]
fn without_a_gateway_no_registry_is_needed_and_its_keys_are_not_looked_at() {
    let environment = [
        ("SLUICEGATE_LISTEN", "nowhere"),
        ("SLUICEGATE_DATA_DIR", "/data"),
        ("SLUICEGATE_ENV_MANAGER", "uv"),
        ("SLUICEGATE_LAUNCHER", "template"),
    ];
    let local = Config::load_local(Overrides::default(), variables(&environment)).unwrap();
    assert_eq!(local.data_dir, std::path::Path::new("/data"));
    assert_eq!(local.env_manager, crate::api::EnvManager::Uv);
    assert_eq!(local.launcher, super::Launcher::Template);
    let environment = [("SLUICEGATE_LAUNCHER", "templates")];
    let error = Config::load_local(Overrides::default(), variables(&environment)).unwrap_err();
    assert!(error.to_string().contains("did you mean \"template\"?"));
    let environment = [("SLUICEGATE_CONDA_REFRESH", "soon")];
    let error = Config::load_local(Overrides::default(), variables(&environment)).unwrap_err();
    assert!(error.to_string().contains("SLUICEGATE_CONDA_REFRESH"));
    // A word that is no key may be meant as one of these.
    let environment = [("SLUICEGATE_OFLINE", "true")];
    assert!(Config::load_local(Overrides::default(), variables(&environment)).is_err());
}

#[test]
fn rights_come_from_the_registry_for_some_time() {
    let file = "[auth]\nrights = 'registry'\nrights_age = '30s'\nrights_outage = '0s'\ndefault_permission = 'READ'\n";
    let config = load_file(file, &[], registry("http://mlflow:5000")).unwrap();
    let auth = config.auth;
    assert_eq!(
        (auth.rights, config.local.rights),
        (RightsSource::Registry, RightsSource::Registry)
    );
    assert_eq!(auth.inherited.age, Duration::from_secs(30));
    assert_eq!(auth.inherited.denied_age, Duration::from_secs(10));
    assert_eq!(auth.inherited.outage, Duration::ZERO);
    assert_eq!(
        auth.inherited.default_permission,
        auth::MlflowPermission::Read
    );
    let shown = config.render();
    for line in [
        "rights = \"registry\"",
        "rights_age = \"30s\"",
        "default_permission = \"READ\"",
    ] {
        assert!(shown.contains(line), "{shown}");
    }
    let flag = Overrides {
        rights: Some("grants".to_owned()),
        ..registry("http://mlflow:5000")
    };
    let config = load_file(file, &[], flag).unwrap();
    assert_eq!(config.auth.rights, RightsSource::Grants);
}
