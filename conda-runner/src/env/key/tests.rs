//! Equal declarations in different spelling and order have one key, different ones never share one.

use proptest::prelude::*;

use super::super::declared::{CondaFile, PythonEnv, Served};
use super::*;

/// What a declaration says, without how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Meaning {
    /// Their order counts.
    channels: Vec<&'static str>,
    packages: BTreeMap<String, Versions>,
    pip: BTreeMap<String, Versions>,
    variables: BTreeMap<String, u8>,
}

/// Conditions that all have to hold: an operator and a number each.
type Versions = BTreeSet<(&'static str, u8)>;

/// Coin after coin, decided by the bits of a number.
struct Coins(u64);

impl Coins {
    fn toss(&mut self) -> bool {
        self.0 = self.0.rotate_left(1);
        self.0 & 1 == 1
    }

    fn either(&mut self, one: &str, other: &str) -> String {
        if self.toss() { one } else { other }.to_owned()
    }

    fn ordered<T>(&mut self, mut list: Vec<T>) -> Vec<T> {
        if self.toss() {
            list.reverse();
        }
        list
    }
}

fn names() -> impl Strategy<Value = String> {
    "[ab]{1,2}-[ab]"
}

fn meaning() -> impl Strategy<Value = Meaning> {
    let channels = Just(vec!["conda-forge", "bioconda", "https://host/own"]).prop_shuffle();
    let channels = (channels, 1_usize..4).prop_map(|(mut channels, many)| {
        channels.truncate(many);
        channels
    });
    let conda = prop::sample::select(vec!["=", "==", ">=", "<=", "<", ">", "!="]);
    let conda = prop::collection::btree_set((conda, 0_u8..4), 0..3);
    let pip = prop::sample::select(vec!["==", ">=", "<=", "<", ">", "!=", "~="]);
    let pip = prop::collection::btree_set((pip, 0_u8..4), 0..3);
    (
        channels,
        prop::collection::btree_map(names(), conda, 0..4),
        prop::collection::btree_map(names(), pip, 0..4),
        prop::collection::btree_map("[A-C]", 0_u8..3, 0..2),
    )
        .prop_map(|(channels, packages, pip, variables)| Meaning {
            channels,
            packages,
            pip,
            variables,
        })
}

/// The same meaning with one thing changed that bears it.
fn changed(meaning: &Meaning, what: usize) -> Meaning {
    let mut other = meaning.clone();
    let exact = Versions::from([("==", 1)]);
    match what {
        0 => other.channels.push("another"),
        1 => other.channels.insert(0, "another"),
        2 => other.packages.extend([("new".to_owned(), Versions::new())]),
        3 => other.pip.extend([("new".to_owned(), Versions::new())]),
        4 => other.variables.extend([("NEW".to_owned(), 1)]),
        5 => other.packages.extend([("new".to_owned(), exact)]),
        6 => other.pip.extend([("new".to_owned(), exact)]),
        7 => {
            let moved = other.packages.pop_first();
            other.pip.extend(moved);
        }
        8 => {
            if let Some(versions) = other.packages.values_mut().next() {
                versions.insert((">", 9));
            }
        }
        _ => other.channels.reverse(),
    }
    other
}

fn conda_spec(name: &str, versions: &Versions, coins: &mut Coins) -> String {
    let name = coins.either(name, &name.to_uppercase());
    let terms = versions.iter().map(|(operator, number)| match *operator {
        "=" if coins.toss() => format!("{number}.0.*"),
        "==" if coins.toss() => format!("{number}.0"),
        operator => format!("{operator}{}{number}.0", coins.either("", "  ")),
    });
    let terms = terms.collect();
    let terms = coins.ordered(terms);
    let comma = coins.either(",", " , ");
    let terms = terms.join(&comma);
    let needs_space = terms.starts_with(|first: char| first.is_ascii_digit());
    let space = if needs_space || coins.toss() { " " } else { "" };
    format!("{name}{space}{terms}")
}

fn requirement(name: &str, versions: &Versions, coins: &mut Coins) -> String {
    let name = coins.either(name, &name.to_uppercase());
    let name = name.replace('-', &coins.either("-", "_"));
    let space = coins.either("", " ");
    let terms = versions
        .iter()
        .map(|(operator, number)| format!("{space}{operator}{space}{number}.0"));
    let terms = terms.collect();
    let terms = coins.ordered(terms).join(",");
    format!("{name}{terms}{}", coins.either("", "  # why"))
}

/// How a `conda.yaml` of this meaning is written.
fn written(meaning: &Meaning, coins: &mut Coins) -> String {
    let quoted = |text: String| format!("{text:?}");
    let mut text = vec![
        coins.either("", "# by hand\nname: model"),
        "channels:".to_owned(),
    ];
    for channel in &meaning.channels {
        let channel = match *channel {
            "conda-forge" if coins.toss() => "https://conda.anaconda.org/conda-forge".to_owned(),
            other => other.to_owned(),
        };
        text.push(format!("- {channel}{}", coins.either("", "/")));
        if coins.toss() {
            text.push(format!("- {channel}  # again"));
        }
    }
    let packages = meaning.packages.iter();
    let packages = packages
        .map(|(name, versions)| quoted(conda_spec(name, versions, coins)))
        .collect();
    let lines = meaning.pip.iter();
    let lines: Vec<String> = lines
        .map(|(name, versions)| quoted(requirement(name, versions, coins)))
        .collect();
    let mut dependencies: Vec<String> = coins.ordered(packages);
    let lines = coins.ordered(lines);
    // Without requirements pip is not added.
    dependencies.extend(["python=3.11".to_owned(), "pip".to_owned()]);
    if coins.toss() {
        for line in lines {
            dependencies.push(format!("pip: [{line}]"));
        }
    } else {
        dependencies.push(format!("pip: [{}]", lines.join(", ")));
    }
    let dependencies = coins.ordered(dependencies);
    text.push(format!("dependencies: [{}]", dependencies.join(", ")));
    let variables = meaning.variables.iter();
    let variables = variables
        .map(|(name, value)| {
            format!(
                "{name}: {}",
                coins.either(&value.to_string(), &format!("'{value}'"))
            )
        })
        .collect();
    let variables = coins.ordered(variables).join(", ");
    text.push(format!("variables: {{{variables}}}"));
    text.join("\n")
}

fn wanted(conda: &str) -> Wanted {
    let file = CondaFile::parse(conda).unwrap();
    Wanted::of_conda_file(file, &Served::default())
}

fn conda_key(text: &str) -> String {
    let recipe = Recipe::new(Path::new("/"), &wanted(text), &CondaConfig::default(), None);
    recipe.unwrap().key()
}

fn uv_key(python: &str, requirements: &str, constraints: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("requirements.txt"), requirements).unwrap();
    let declared = PythonEnv {
        python: Some(python.to_owned()),
        dependencies: vec!["-r requirements.txt".to_owned()],
        ..PythonEnv::default()
    };
    let wanted = Wanted::of_python_env(Builder::Uv, declared, &Served::default());
    let file = folder.path().join("constraints.txt");
    std::fs::write(&file, constraints).unwrap();
    Recipe::new(folder.path(), &wanted, &CondaConfig::default(), Some(&file))
        .unwrap()
        .key()
}

proptest! {
    #[test]
    fn keys_are_equal_exactly_when_the_meaning_is(
        one in meaning(), other in meaning(), styles in any::<(u64, u64)>()
    ) {
        let plain = conda_key(&written(&one, &mut Coins(0)));
        prop_assert_eq!(&plain, &conda_key(&written(&one, &mut Coins(styles.0))));
        let other_key = conda_key(&written(&other, &mut Coins(styles.1)));
        prop_assert_eq!(one == other, plain == other_key);
    }

    #[test]
    fn one_changed_thing_gives_another_key(one in meaning(), what in 0_usize..10, style in any::<u64>()) {
        let other = changed(&one, what);
        let key = conda_key(&written(&one, &mut Coins(0)));
        let other_key = conda_key(&written(&other, &mut Coins(style)));
        prop_assert_eq!(one == other, key == other_key);
    }

    #[test]
    fn keys_of_requirements_files_are_equal_exactly_when_the_meaning_is(
        one in meaning(), other in meaning(), styles in any::<(u64, u64)>()
    ) {
        let lines = |meaning: &Meaning, style: u64| {
            let mut coins = Coins(style);
            let lines = meaning.pip.iter().map(|(name, versions)| requirement(name, versions, &mut coins)).collect();
            let end = coins.either("\n", "\r\n");
            coins.ordered(lines).join(&end)
        };
        let plain = uv_key("3.11", &lines(&one, 0), "");
        prop_assert_eq!(&plain, &uv_key("3.11", &lines(&one, styles.0), ""));
        prop_assert_eq!(one.pip == other.pip, plain == uv_key("3.11", &lines(&other, styles.1), ""));
    }
}

#[test]
fn python_constraints_and_the_place_of_a_line_count() {
    let keys = [
        uv_key("3.11", "numpy", ""),
        uv_key("3.12", "numpy", ""),
        uv_key("3.11", "numpy", "scipy<2"),
        uv_key("3.11", "numpy\nscipy<2", ""),
        uv_key("3.11", "numpy\n--index-url https://one", ""),
    ];
    let different: BTreeSet<_> = keys.iter().collect();
    assert_eq!(different.len(), keys.len());
    assert!(keys[0].len() == 32);
}

#[test]
fn who_builds_counts() {
    let recipe = |builder| {
        let wanted = Wanted {
            builder,
            ..wanted("dependencies: [python=3.11]")
        };
        Recipe::new(Path::new("/"), &wanted, &CondaConfig::default(), None).unwrap()
    };
    let base = Wanted::interpreter(Some("3.11"));
    let keys = BTreeSet::from([
        recipe(Builder::Conda).key(),
        recipe(Builder::Uv).key(),
        recipe(Builder::Virtualenv).key(),
        Recipe::interpreter(&base, &CondaConfig::default()).key(),
    ]);
    assert_eq!(keys.len(), 4);
}

#[test]
fn what_the_operator_means_by_a_channel_counts_and_mirrors_do_not() {
    let wanted = wanted("channels: [conda-forge]\ndependencies: [python=3.11]");
    let key = |config: &CondaConfig| {
        let recipe = Recipe::new(Path::new("/"), &wanted, config, None);
        recipe.unwrap().key()
    };
    let list = |name: &str| vec![name.to_owned()];
    let plain = CondaConfig::default();
    let mirrored = CondaConfig {
        mirrors: BTreeMap::from([("https://conda.anaconda.org".to_owned(), list("https://own"))]),
        ..plain.clone()
    };
    let mapped = CondaConfig {
        channels: BTreeMap::from([("conda-forge".to_owned(), list("https://own"))]),
        ..plain.clone()
    };
    assert_eq!(key(&plain), key(&mirrored));
    assert_ne!(key(&plain), key(&mapped));
}

/// The key must be the same without the feature, so the parser is ours; it may be no more lenient than conda's.
#[cfg(feature = "conda")]
mod beside_the_parser_of_conda {
    use rattler_conda_types::{MatchSpec, ParseStrictness};

    use super::*;

    proptest! {
        #[test]
        fn specs_that_are_equal_here_are_equal_to_conda(
            versions in prop::collection::btree_set(
                (prop::sample::select(vec!["=", "==", ">=", "<", "!="]), 0_u8..3), 1..2),
            styles in any::<(u64, u64)>()
        ) {
            let one = conda_spec("a-b", &versions, &mut Coins(styles.0)).to_lowercase();
            let other = conda_spec("a-b", &versions, &mut Coins(styles.1)).to_lowercase();
            let parse = |text: &str| MatchSpec::from_str(text, ParseStrictness::Lenient).unwrap();
            prop_assert_eq!(parse(&one).version, parse(&other).version, "{} {}", one, other);
        }
    }
}
