//! `environments prune`: makes room. The keys of what went stand on stdout, one a line.

use gateway::api::{KeptEnvironment, PruneEnvironments, PrunedEnvironments};

use super::{Environments, words};
use crate::args::environments::PruneArgs;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    environments: &Environments,
    args: PruneArgs,
    format: Format,
) -> Result<(), CommandError> {
    let wish = PruneEnvironments {
        keys: args.keys,
        unused_for: args.unused_for,
        to_size: args.to_size,
        dry_run: args.dry_run,
    };
    let pruned = environments.prune(&wish).await?;
    match format {
        Format::Json => output::json(&pruned)?,
        Format::Table => {
            for key in &pruned.environments {
                output::line(key)?;
            }
            output::note(&summary(&pruned, wish.dry_run));
        }
    }
    if pruned.in_use.is_empty() {
        return Ok(());
    }
    let kept: Vec<_> = pruned.in_use.iter().map(kept).collect();
    Err(
        CommandError::failed(format!("kept: {}", kept.join("; "))).next(
            "disable the models that use them, or change their versions, and remove environments before the one whose Python \
             they use",
        ),
    )
}

fn kept(environment: &KeptEnvironment) -> String {
    let key = words::short(&environment.key);
    format!("{key} ({})", environment.reasons.join(", "))
}

fn summary(pruned: &PrunedEnvironments, dry_run: bool) -> String {
    let freed = words::size(pruned.freed_bytes);
    let (removed, freed) = if dry_run {
        ("would remove", format!("free {freed}"))
    } else {
        ("removed", format!("freed {freed}"))
    };
    match pruned.environments.len() {
        0 => "there is nothing to remove".to_owned(),
        1 => format!("{removed} 1 environment and {freed}"),
        many => format!("{removed} {many} environments and {freed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_is_summed_up() {
        let pruned = |keys: &[&str]| PrunedEnvironments {
            environments: keys.iter().map(|key| (*key).to_owned()).collect(),
            freed_bytes: keys.len() as u64 * (700 << 20),
            in_use: Vec::new(),
        };
        assert_eq!(
            summary(&pruned(&["a", "b"]), false),
            "removed 2 environments and freed 1.3 GB"
        );
        assert_eq!(
            summary(&pruned(&["a"]), true),
            "would remove 1 environment and free 700 MB"
        );
        assert_eq!(summary(&pruned(&[]), false), "there is nothing to remove");
    }

    #[test]
    fn what_stays_is_told_with_its_reasons() {
        let environment = KeptEnvironment {
            key: "0123456789abcdef0123456789abcdef".to_owned(),
            reasons: vec![
                "used by iris@3".to_owned(),
                "its Python is used by fedcba98".to_owned(),
            ],
        };
        assert_eq!(
            kept(&environment),
            "0123456789ab (used by iris@3, its Python is used by fedcba98)"
        );
    }
}
