//! Spelling does not matter, content does, and references lead where pip follows them.

use super::*;

fn collect(files: &[(&str, &str)]) -> Result<Requirements, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    Requirements::collect(folder.path(), &["-r requirements.txt".to_owned()])
}

#[test]
fn how_a_requirement_is_written_does_not_matter() {
    for (written, meant) in [
        (
            "Scikit_Learn [b, A] >= 1.0 , <2",
            "scikit-learn[a,b]<2,>=1.0",
        ),
        ("numpy == 1.2.3", "numpy==1.2.3"),
        ("numpy (>=1)", "numpy>=1"),
        (
            "x ; python_version < \"3.12\"",
            "x;python_version < \"3.12\"",
        ),
        ("x==1 --hash=sha256:ab", "x==1 --hash=sha256:ab"),
        (
            "My.Lib @ https://host/My.Lib.whl",
            "my-lib @ https://host/My.Lib.whl",
        ),
        ("git+https://host/Repo@v1", "git+https://host/Repo@v1"),
    ] {
        assert_eq!(normal(&collapse(written)), meant, "{written}");
    }
}

#[test]
fn only_a_hash_after_a_space_begins_a_comment() {
    assert_eq!(without_comment("numpy # fast"), "numpy ");
    assert_eq!(without_comment("# all"), "");
    assert_eq!(
        without_comment("git+https://h/r#egg=x # y"),
        "git+https://h/r#egg=x "
    );
}

#[test]
fn files_that_are_referred_to_count_with_their_content() {
    let text = "mlflow==3.17.2\n-c constraints.txt\n";
    let one = collect(&[("requirements.txt", text), ("constraints.txt", "numpy<2\n")]).unwrap();
    let two = collect(&[("requirements.txt", text), ("constraints.txt", "numpy<3\n")]).unwrap();
    assert_ne!(one, two);
    assert_eq!(one.constraints, BTreeSet::from(["numpy<2".to_owned()]));
    let one = collect(&[("requirements.txt", "own.whl"), ("own.whl", "1")]).unwrap();
    let two = collect(&[("requirements.txt", "own.whl"), ("own.whl", "2")]).unwrap();
    assert_ne!(one, two);
}

#[test]
fn whatever_way_a_line_refers_to_the_model_its_content_counts() {
    for line in [
        "./own/a.whl",
        "./own[extra]",
        "own/a.whl ; python_version > '3'",
        "own @ ./own/a.whl",
        "own @ file:own/a.whl",
        "--find-links own/",
        "--find-links=own",
        "-fown",
    ] {
        let of = |content: &str| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("own")).unwrap();
            std::fs::write(folder.path().join("own/a.whl"), content).unwrap();
            Requirements::collect(folder.path(), &[line.to_owned()]).unwrap()
        };
        assert_eq!(of("1"), of("1"), "{line}");
        assert_ne!(of("1"), of("2"), "{line}");
    }
}

#[test]
fn what_is_installed_where_it_is_belongs_to_one_folder() {
    let lines = ["-e ./own", "--editable=own", "-e./own"];
    let one = tempfile::tempdir().unwrap();
    let two = tempfile::tempdir().unwrap();
    for folder in [&one, &two] {
        std::fs::create_dir(folder.path().join("own")).unwrap();
    }
    for line in lines.map(|line| vec![line.to_owned()]) {
        let of = |folder: &Path| Requirements::collect(folder, &line).unwrap();
        assert_eq!(of(one.path()), of(one.path()), "{line:?}");
        assert_ne!(of(one.path()), of(two.path()), "{line:?}");
    }
}

#[test]
fn files_outside_of_the_model_and_circles_are_refused() {
    for text in [
        "-r ../secret",
        "-r /etc/passwd",
        "-r requirements.txt",
        "-r missing.txt",
    ] {
        let error = collect(&[("requirements.txt", text)]).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{text}");
        assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
    }
}

#[test]
fn a_file_is_looked_for_beside_the_one_that_refers_to_it() {
    let nested = collect(&[
        (
            "requirements.txt",
            "-r reqs/base.txt\n--find-links reqs/wheels\n",
        ),
        (
            "reqs/base.txt",
            "numpy\n-r more.txt\n-c ../limits.txt\n-f wheels\n",
        ),
        ("reqs/more.txt", "scipy\n-r 'deep/last one.txt'\n"),
        ("reqs/deep/last one.txt", "pandas\n"),
        ("reqs/wheels/own.whl", "1"),
        ("limits.txt", "numpy<2\n"),
    ])
    .unwrap();
    let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect();
    assert_eq!(nested.wanted, texts(&["numpy", "pandas", "scipy"]));
    assert_eq!(nested.constraints, texts(&["numpy<2"]));
    assert_eq!(nested.files.len(), 2);
    for text in ["-r ../../secret", "-r more/../../../secret"] {
        let error = collect(&[("requirements.txt", "-r reqs/x"), ("reqs/x", text)]).unwrap_err();
        assert!(error.message.contains("not a file of the model"), "{error}");
    }
}

#[test]
fn a_file_that_is_referred_to_again_and_again_is_read_once() {
    let again = |name: &str| format!("-r {name}\n").repeat(1000);
    let names: Vec<String> = (0..DEEPEST - 2).map(|at| format!("{at}.txt")).collect();
    let mut files: Vec<(&str, String)> = vec![("requirements.txt", again(&names[0]))];
    for pair in names.windows(2) {
        files.push((&pair[0], again(&pair[1])));
    }
    files.push((names.last().unwrap(), "numpy".to_owned()));
    let files: Vec<_> = files.iter().map(|(name, text)| (*name, &**text)).collect();
    assert_eq!(collect(&files).unwrap().wanted.len(), 1);
}

#[test]
fn a_file_of_a_server_counts_by_its_address() {
    let of = |line: &str| collect(&[("requirements.txt", line)]).unwrap();
    let one = of("-r https://host/one.txt");
    assert_ne!(one, of("-r https://host/two.txt"));
    assert_ne!(one, of("-c https://host/one.txt"));
    assert_eq!(one, of("-r  https://host/one.txt # there"));
}

#[test]
fn the_operators_file_resolves_in_its_own_folder_and_is_not_the_models_fault() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("conf")).unwrap();
    let file = folder.path().join("conf/constraints.txt");
    write(
        "conf/constraints.txt",
        "numpy<2\n-c other.txt\n-c ../third.txt\n",
    );
    write("conf/other.txt", "scipy<2\n");
    write("third.txt", "pandas<3\n");
    let all = Requirements::of_operator(&file).unwrap();
    assert_eq!((all.wanted.len(), all.constraints.len()), (1, 2));
    write("conf/constraints.txt", "-c gone.txt\n");
    let error = Requirements::of_operator(&file).unwrap_err();
    assert!(!error.message.contains("model"), "{error}");
    assert!(error.message.contains("conf/constraints.txt") && error.message.contains("gone.txt"));
    assert_eq!(error.retry, serving_core::Retry::Later);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("own.whl");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let error = Requirements::collect(folder.path(), &["./own.whl".to_owned()]).unwrap_err();
    assert!(error.message.contains("it is no file"), "{error}");
}
