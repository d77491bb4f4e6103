//! `environments prune`: makes room. The keys of what went stand on stdout, one a line.

use gateway::api::{PruneEnvironments, PrunedEnvironments};

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
    Err(
        CommandError::failed(format!("in use, and kept: {}", pruned.in_use.join(", "))).next(
            "`sluicegate environments list` tells who uses them; disable these models or change their versions first",
        ),
    )
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
}
