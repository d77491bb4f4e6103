//! What people can do when the versions that were chosen before are no longer to be had.

use serving_core::{LoadError, ServableId};

use super::trouble::Trouble;

/// The arguments with which `sluicegate environments build` builds for this version.
pub(crate) fn of_version(id: &ServableId) -> String {
    format!(
        "--model {} --version {}",
        quoted(&id.model.to_string()),
        id.version
    )
}

/// The same for a folder.
pub(crate) fn of_folder(folder: &std::path::Path) -> String {
    quoted(&folder.display().to_string())
}

/// The error of a build that asked for what was chosen before, for the one who would build with these `arguments`.
pub(crate) fn chosen_before(error: LoadError, arguments: &str) -> LoadError {
    let is_about_versions = [
        Trouble::PackageNotFound,
        Trouble::Unsatisfiable,
        Trouble::HashMismatch,
    ]
    .iter()
    .any(|trouble| error.code.as_deref() == Some(trouble.code()));
    if !is_about_versions {
        return error;
    }
    LoadError {
        message: format!(
            "{error} (the versions that were chosen when this environment was first built were asked for; a fresh \
             build chooses anew: `sluicegate environments build {arguments} --fresh`)"
        )
        .into(),
        ..error
    }
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serving_core::Version;

    use super::*;

    #[test]
    fn a_choice_that_is_no_longer_to_be_had_is_explained_and_others_troubles_are_not() {
        let gone = Trouble::PackageNotFound.error("numpy 1.2 was not found");
        let wine = of_version(&ServableId::new("red wine", Version(3)));
        let told = chosen_before(gone.clone(), &wine);
        let command = "`sluicegate environments build --model 'red wine' --version 3 --fresh`";
        assert!(told.message.contains(command), "{told}");
        assert_eq!((told.code, told.retry), (gone.code, gone.retry));
        let network = Trouble::Network.error("the channel cannot be reached");
        assert_eq!(chosen_before(network.clone(), &wine), network);
        assert_eq!(of_folder("/models/iris".as_ref()), "/models/iris");
    }
}
