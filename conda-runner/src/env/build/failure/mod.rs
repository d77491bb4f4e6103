//! Why uv or pip could not install: what kind of trouble, and the sentence that tells people what to do.
//!
//! Both programs explain themselves in words for their own users, which change from release to release. What is not
//! recognised here is still shown, as their own last lines, and is taken for something that may pass: taking a passing
//! trouble for a lasting one is an outage until somebody looks.

mod told;

#[cfg(test)]
mod tests;

use serving_core::LoadError;

use self::told::{Told, shortened};
use super::indexes::without_secrets;
use crate::env::trouble::Trouble;
use crate::process::child::Ended;
use crate::process::diagnosis::speaks_of_passing;
use crate::process::output::last;

/// Characters of another program's explanation within a sentence; all of it is in the last lines.
const EXPLANATION: usize = 500;
/// Characters of a reason in a sentence.
const REASON: usize = 200;

/// pip knew enough to say that the requirements are at fault, whatever else an index refused.
const CONTRADICTION: [&str; 1] = ["have conflicting dependencies"];

/// An installation that failed.
pub(crate) struct Attempt<'a> {
    /// `uv` or `pip`.
    pub(crate) program: &'a str,
    pub(crate) ended: &'a Ended,
    /// What the program told only its own log.
    pub(crate) more: &'a [String],
    /// The indexes that were asked, for people.
    pub(crate) asked: &'a str,
    /// Whether versions were wanted that an older build chose.
    pub(crate) locked: bool,
    /// Whether nothing could be fetched, by the operator's wish.
    pub(crate) offline: bool,
}

/// What it comes to: kind, sentence, and whether another try could help against the kind's habit.
struct Verdict {
    trouble: Trouble,
    passing: bool,
    message: String,
}

impl Verdict {
    fn new(trouble: Trouble, message: String) -> Option<Self> {
        Some(Self {
            trouble,
            passing: false,
            message,
        })
    }
}

impl Attempt<'_> {
    /// The error to report.
    pub(crate) fn error(&self) -> LoadError {
        let told = Told::new(self.ended.lines.iter().chain(self.more));
        let judges: [fn(&Self, &Told) -> Option<Verdict>; 12] = [
            Self::killed,
            Self::disk_full,
            Self::no_tool,
            Self::build,
            Self::hash,
            Self::access,
            Self::not_cached,
            Self::network,
            Self::python,
            Self::not_found,
            Self::unsatisfiable,
            Self::declaration,
        ];
        let verdict = judges.iter().find_map(|judge| judge(self, &told));
        let verdict = verdict.unwrap_or_else(|| self.unknown(&told));
        let mut message = verdict.message;
        let is_of_choice = matches!(
            verdict.trouble,
            Trouble::PackageNotFound | Trouble::Unsatisfiable
        );
        if self.locked && is_of_choice {
            message.push_str(
                ". The versions are those that this environment was first built with: build it afresh to choose anew",
            );
        }
        let error = if verdict.passing {
            verdict.trouble.passing(message)
        } else {
            verdict.trouble.error(message)
        };
        let lines: Vec<String> = self
            .ended
            .lines
            .iter()
            .map(|l| without_secrets(l))
            .collect();
        error.with_last_lines(last(&lines))
    }

    /// pip also knows of the indexes that a requirements file names.
    fn asked<'a>(&'a self, told: &'a Told) -> &'a str {
        let of_pip = told.line_after("Looking in indexes: ");
        of_pip.unwrap_or(self.asked)
    }

    fn killed(&self, _: &Told) -> Option<Verdict> {
        self.ended.code.is_none().then(|| Verdict {
            trouble: Trouble::PipFailed,
            passing: true,
            message: format!(
                "{} was stopped while it installed ({}): perhaps the machine ran out of memory",
                self.program, self.ended.reason
            ),
        })
    }

    fn disk_full(&self, told: &Told) -> Option<Verdict> {
        told.has(&[
            "No space left on device",
            "Disk quota exceeded",
            "(os error 28)",
        ])
        .then_some(())?;
        let file = told
            .between_last("file `", "`: No space left")
            .map(|file| format!(" (writing {file})"));
        Verdict::new(
            Trouble::DiskFull,
            format!(
                "there is no room left on the disk to install the Python packages{}: make room, or remove environments \
                 that nobody uses (sluicegate environments prune)",
                file.unwrap_or_default()
            ),
        )
    }

    fn no_tool(&self, told: &Told) -> Option<Verdict> {
        if told.has(&["Git executable not found", "Cannot find command 'git'"]) {
            return Verdict::new(
                Trouble::ToolMissing,
                "the model's requirements name a git repository, and git is not installed on this machine: install it, \
                 or require a released package"
                    .to_owned(),
            );
        }
        if told.text.ends_with("No module named pip") {
            return Verdict::new(
                Trouble::ToolMissing,
                "the environment has no pip to install the Python packages with: add pip to the dependencies of the \
                 model's conda.yaml, or install uv on this machine"
                    .to_owned(),
            );
        }
        // The shell's words for a program that cannot be run, or is not there.
        let cannot_run = matches!(self.ended.code, Some(126 | 127));
        (cannot_run && !speaks_of_passing(&told.lines)).then(|| Verdict {
            trouble: Trouble::ToolMissing,
            passing: false,
            message: format!("{} cannot be run on this machine", self.program),
        })
    }

    fn build(&self, told: &Told) -> Option<Verdict> {
        let signs = [
            "Failed to build `",
            "Failed to download and build",
            "The build backend returned an error",
            "Failed building wheel for",
            "Failed to build '",
            "to build wheel did not run successfully",
            "metadata-generation-failed",
            "Preparing metadata (pyproject.toml) did not run",
            "egg_info did not run successfully",
        ];
        // A repository that cannot be fetched is not built: pip says so in the same words.
        if !told.has(&signs) || told.has(&["git clone", "git fetch"]) {
            return None;
        }
        let package = told
            .between("Failed to build `", "`")
            .or_else(|| told.word_after("Failed building wheel for "))
            .or_else(|| told.between("Failed to build '", "'"))
            .or_else(|| last_after(&told.lines, "Collecting "))
            .unwrap_or("a package");
        let package = package.split(" @ ").next().unwrap_or(package);
        let why = build_error(&told.lines).map(|line| format!(": {}", shortened(line, REASON)));
        Some(Verdict {
            trouble: Trouble::PipFailed,
            passing: speaks_of_passing(&told.lines),
            message: format!(
                "{package} has to be built from its source for this Python, and that failed{}. Require a version that \
                 has a wheel for this Python and machine, or install what its build needs (most often a C compiler and \
                 the headers of a library)",
                why.unwrap_or_default()
            ),
        })
    }

    fn hash(&self, told: &Told) -> Option<Verdict> {
        let package = told.between("Hash mismatch for `", "`");
        let package = package.or_else(|| {
            let (_, rest) = told.text.split_once("DO NOT MATCH THE HASHES")?;
            rest.split_once(" from http")?.0.rsplit(' ').next()
        })?;
        Verdict::new(
            Trouble::HashMismatch,
            format!(
                "the file of {package} is not the one whose hash the model's requirements name: the index has another \
                 file, or it was changed on its way. Correct the hash, or find out who changed the file"
            ),
        )
    }

    fn access(&self, told: &Told) -> Option<Verdict> {
        let refusal = [
            "401 Unauthorized",
            "403 Forbidden",
            "401 Client Error",
            "403 Client Error",
        ];
        let status = refusal.iter().find(|status| told.text.contains(*status));
        if told.has(&CONTRADICTION) {
            return None;
        }
        let needs_login = [
            "Authentication failed for",
            "could not read Username",
            "Permission denied (publickey",
        ];
        if status.is_none() && !told.has(&needs_login) {
            return None;
        }
        let address = told
            .between_last("An index URL (", ") could not be queried")
            .or_else(|| told.between_last("An index URL (", ") returned a 403"))
            .or_else(|| told.between_last("An index (", ") returned a 403"))
            .or_else(|| told.word_after("for url: "))
            .or_else(|| told.word_after("for url ("))
            .unwrap_or(self.asked(told));
        let status = status.map_or(String::new(), |status| format!(" ({})", &status[..3]));
        Verdict::new(
            Trouble::AccessDenied,
            format!(
                "{address} does not let this gateway in{status}: name a user and a password in the index's address \
                 (https://user:password@host/simple), or correct them"
            ),
        )
    }

    fn not_cached(&self, told: &Told) -> Option<Verdict> {
        let of_uv = told.has(&[
            "network was disabled",
            "Network connectivity is disabled",
            "was not found in the cache",
        ]);
        let of_pip = self.offline && told.has(&["No matching distribution found"]);
        (of_uv || of_pip).then_some(())?;
        let name = told
            .between_last("Because ", " was not found in the cache")
            .or_else(|| told.word_after("No matching distribution found for "))
            .unwrap_or("a package");
        Verdict::new(
            Trouble::Offline,
            format!(
                "{name} is not cached on this machine, and the gateway is set to be offline: build the environment \
                 once while the index can be reached, or import it (sluicegate environments import)"
            ),
        )
    }

    fn network(&self, told: &Told) -> Option<Verdict> {
        if told.has(&["404 Not Found) for url", "HTTP error 404"]) || told.has(&CONTRADICTION) {
            return None;
        }
        let signs = [
            "Request failed after",
            "error sending request",
            "HTTP status server error",
            "(429 Too Many Requests)",
            "Max retries exceeded",
            "WARNING: Retrying (",
            "connection error:",
            "ReadTimeoutError",
            "Read timed out",
            "fatal: unable to access",
            "Could not resolve host",
            "Failed to fetch",
        ];
        told.has(&signs).then_some(())?;
        let address = [
            "for url (",
            "Failed to fetch: ",
            "Could not fetch URL ",
            "unable to access '",
        ]
        .iter()
        .find_map(|start| told.word_after(start));
        let who = match address.and_then(host_of) {
            Some(host) => host.to_owned(),
            None => format!("the package index ({})", self.asked(told)),
        };
        let why = network_reason(told).map(|why| format!(" ({why})"));
        Verdict::new(
            Trouble::Network,
            format!(
                "{who} cannot be reached for the Python packages{}: it is tried again later. If it stays so, check the \
                 network and the proxy, or name another index (pip.index_url)",
                why.unwrap_or_default()
            ),
        )
    }

    fn python(&self, told: &Told) -> Option<Verdict> {
        let (package, wanted, has) = unfit_python(told)?;
        Verdict::new(
            Trouble::Unsatisfiable,
            format!(
                "{package} needs Python {wanted}, and the environment has {has}: require a version of it for that \
                 Python, or log the model with another Python"
            ),
        )
    }

    fn not_found(&self, told: &Told) -> Option<Verdict> {
        if let Some(url) = told
            .word_after("404 Not Found) for url (")
            .or_else(|| told.word_after("HTTP error 404 while getting "))
        {
            return Verdict::new(
                Trouble::PackageNotFound,
                format!("there is nothing at {url}, which the model's requirements name"),
            );
        }
        if let Some(host) = told.between("The repository located at ", " is not a trusted") {
            return Verdict::new(
                Trouble::AccessDenied,
                format!(
                    "pip does not ask the package index at {host}, since it is not HTTPS: give it a certificate, or \
                     set PIP_TRUSTED_HOST={host} where the gateway is started"
                ),
            );
        }
        let name = told
            .between_last("Because ", " was not found in the package registry")
            .or_else(|| told.between_last("Because ", " was not found in the provided"))
            .or_else(|| told.between("satisfies the requirement ", "(from versions: none)"))?;
        let name = name.split(" (from ").next().unwrap_or(name).trim();
        let (marker_free, _) = name.split_once(';').unwrap_or((name, ""));
        Verdict::new(
            Trouble::PackageNotFound,
            format!(
                "no package index has {} (asked: {}): check its name in the model's requirements, or name the index \
                 that has it (pip.index_url, pip.extra_index_urls)",
                marker_free.trim(),
                self.asked(told)
            ),
        )
    }

    fn unsatisfiable(&self, told: &Told) -> Option<Verdict> {
        if let Some(missing) = missing_version(told) {
            return Verdict::new(
                Trouble::Unsatisfiable,
                format!(
                    "there is no {missing} for this Python and machine (asked: {}): require a version that exists",
                    self.asked(told)
                ),
            );
        }
        let why = conflict(told)?;
        Verdict::new(
            Trouble::Unsatisfiable,
            format!(
                "no set of versions satisfies the model's requirements: {}. Change the requirements, or log the model \
                 anew",
                shortened(&why, EXPLANATION).trim_end_matches('.')
            ),
        )
    }

    fn declaration(&self, told: &Told) -> Option<Verdict> {
        let file = told
            .word_after("File not found: ")
            .or_else(|| told.word_after("Distribution not found at: "))
            .or_else(|| told.word_after("No such file or directory: "));
        if let Some(file) = file {
            return Verdict::new(
                Trouble::InvalidDeclaration,
                format!("the model's requirements name {file}, which is not there"),
            );
        }
        let line = [
            "error: Failed to parse: ",
            "Invalid requirement: ",
            "error: Couldn't parse requirement in ",
        ]
        .iter()
        .find_map(|start| told.text.split_once(start))
        .map(|(_, line)| line.split(" Caused by:").next().unwrap_or(line))
        .map(|line| line.split(" cause:").next().unwrap_or(line))?;
        Verdict::new(
            Trouble::InvalidDeclaration,
            format!(
                "a line of the model's requirements cannot be understood: {}",
                shortened(line, REASON)
            ),
        )
    }

    fn unknown(&self, told: &Told) -> Verdict {
        let why = told
            .line_after("error: ")
            .or_else(|| last_after(&told.lines, "ERROR: "))
            .or_else(|| {
                told.lines
                    .iter()
                    .map(String::as_str)
                    .rfind(|line| !line.is_empty())
            });
        let why = why.map_or(String::new(), |why| format!(": {}", shortened(why, REASON)));
        let lasting = told.has(&["unexpected argument", "invalid value", "no such option"]);
        Verdict {
            trouble: Trouble::PipFailed,
            passing: !lasting || speaks_of_passing(&told.lines),
            message: format!(
                "{} cannot install the model's requirements ({}){why}",
                self.program, self.ended.reason
            ),
        }
    }
}

fn last_after<'a>(lines: &'a [String], start: &str) -> Option<&'a str> {
    lines.iter().rev().find_map(|line| line.strip_prefix(start))
}

/// The line of a build's output that says most: the compiler's, or else the last error or exception.
fn build_error(lines: &[String]) -> Option<&str> {
    let is_wrapper = |line: &str| {
        let wrappers = [
            "Failed to",
            "Command '[",
            "subprocess-",
            "metadata-",
            "failed-wheel",
            "command '",
        ];
        wrappers.iter().any(|wrapper| line.starts_with(wrapper))
    };
    let fatal = lines
        .iter()
        .find_map(|line| line.split_once("fatal error: "));
    if let Some((_, fatal)) = fatal {
        return Some(fatal);
    }
    let error = lines.iter().rev().find_map(|line| {
        let error = line.strip_prefix("error: ")?;
        (!is_wrapper(error)).then_some(error)
    });
    error.or_else(|| {
        let mut lines = lines.iter().rev().map(String::as_str);
        lines.find(|line| {
            let name = line.split(": ").next().unwrap_or_default();
            let is_name = |name: &str| {
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._".contains(c))
            };
            is_name(name) && (name.ends_with("Error") || name.ends_with("Exception"))
        })
    })
}

/// The host of an address, with its port.
fn host_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    rest.split(['/', '?', '#'])
        .next()
        .filter(|host| !host.is_empty())
}

/// The innermost cause.
fn network_reason(told: &Told) -> Option<String> {
    let causes = ["cause: ", "Caused by: "];
    let of_uv = causes
        .iter()
        .find_map(|start| last_after(&told.lines, start));
    let of_pip = || {
        told.text
            .rsplit_once("[Errno ")?
            .1
            .split_once("] ")?
            .1
            .split("')")
            .next()
    };
    let of_status = || told.between("too many ", " error responses");
    let of_git = || told.line_after("fatal: ");
    let why = of_git().or(of_uv).or_else(of_pip).or_else(of_status)?;
    let why = why.split(" (os error").next().unwrap_or(why);
    let why = why.split(" for url (").next().unwrap_or(why);
    let why = why.rsplit("': ").next().unwrap_or(why);
    Some(shortened(why, REASON))
}

/// A wanted package that is not for this Python: what it is, what it needs, what there is.
fn unfit_python(told: &Told) -> Option<(String, String, String)> {
    if let Some(rest) = told.line_after("ERROR: Package '") {
        let (package, rest) = rest.split_once("' requires a different Python: ")?;
        let (has, wanted) = rest.split_once(" not in ")?;
        return Some((
            package.to_owned(),
            wanted.trim_matches('\'').to_owned(),
            has.to_owned(),
        ));
    }
    if let Some(has) = told.between("the current Python version (", ")") {
        let (before, after) = told.text.split_once(" depends on Python")?;
        let package = before.rsplit(' ').next()?;
        let wanted = after.split([' ', ',']).next()?;
        // Otherwise it is only one of the reasons why no version fits, and the explanation as a whole says which.
        let name = package.split(['=', '<', '>']).next()?;
        let is_wanted = told.has(&[
            &format!("you require {package}"),
            &format!("you require {name},"),
        ]);
        return is_wanted.then(|| (package.to_owned(), wanted.to_owned(), has.to_owned()));
    }
    let requirement = told.between("satisfies the requirement ", " ")?;
    let (_, version) = requirement.split_once("==")?;
    let (_, wanted) = told
        .text
        .split_once(&format!(" {version} Requires-Python "))?;
    let wanted = wanted.split([';', ' ', ':']).next()?;
    Some((
        requirement.to_owned(),
        wanted.to_owned(),
        "another".to_owned(),
    ))
}

/// A version that nobody has.
fn missing_version(told: &Told) -> Option<&str> {
    if let Some(version) = told.between("Because there is no version of ", " and you require") {
        return Some(version);
    }
    let requirement = told.between("satisfies the requirement ", " (from ")?;
    let (requirement, _) = requirement.split_once(';').unwrap_or((requirement, ""));
    Some(requirement.trim())
}

/// The solver's explanation.
fn conflict(told: &Told) -> Option<String> {
    if let Some(start) = told
        .lines
        .iter()
        .position(|line| line == "The conflict is caused by:")
    {
        let reasons = told.lines[start + 1..].iter();
        let reasons: Vec<&str> = reasons
            .map(String::as_str)
            .take_while(|line| !line.is_empty())
            .collect();
        return Some(reasons.join("; "));
    }
    let (_, rest) = told.text.split_once("No solution found when resolving")?;
    let start = rest.find("Because ")?;
    let why = rest[start..].split(" hint: ").next()?;
    let why = why.replacen("Because", "because", 1);
    let end = ", we can conclude that your requirements are unsatisfiable";
    let why = why.split(end).next().unwrap_or(&why);
    // The last sentence has lost its end.
    Some(match why.rsplit_once(". And because ") {
        Some((before, last)) => format!("{before}; but {last}"),
        None => why.to_owned(),
    })
}
