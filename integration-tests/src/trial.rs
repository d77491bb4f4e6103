//! Runs tests as cargo expects it, then ends what they shared.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::FutureExt;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::{Handle, Runtime};
use tokio::time::timeout;

use crate::world::World;

/// No test takes this long, even on a slow machine; one that does hangs.
const LONGEST: Duration = Duration::from_secs(900);

/// Tests that run at a time: most of what they do is waiting for workers.
const AT_ONCE: usize = 4;

/// A test: a name that says what holds, and an async function.
pub struct Test {
    name: String,
    body: Body,
}

/// What the async function of a test ends with.
pub type Outcome = Pin<Box<dyn Future<Output = Result<()>>>>;
type Body = Box<dyn FnOnce(Arc<World>) -> Outcome + Send>;

/// What a test needs and this machine does not have.
#[derive(Debug)]
struct Lacking(String);

/// The error of a test that cannot be run on this machine: it counts as ignored, with this reason.
pub fn lacking(reason: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Lacking(reason.into()))
}

impl std::fmt::Display for Lacking {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Lacking {}

/// Lists async functions `fn(Arc<World>) -> anyhow::Result<()>` as tests, named by module and function.
///
/// A function that is not listed is dead code, which the lints refuse: no test can be forgotten.
#[macro_export]
macro_rules! tests {
    ($($test:ident),+ $(,)?) => {
        vec![$($crate::Test::new(
            concat!(module_path!(), "::", stringify!($test)),
            |world| Box::pin($test(world)),
        )),+]
    };
}

impl std::fmt::Debug for Test {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Test").field(&self.name).finish()
    }
}

impl Test {
    /// A test.
    pub fn new(
        name: impl Into<String>,
        body: impl FnOnce(Arc<World>) -> Outcome + Send + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            body: Box::new(body),
        }
    }
}

/// Runs the tests that the command line asks for; the world of all of them ends afterwards.
#[expect(clippy::print_stderr, reason = "it stands in for cargo's own harness")]
pub fn run(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let world = Arc::new(World::default());
    let trials = tests
        .into_iter()
        .map(|test| {
            let world = Arc::clone(&world);
            let handle = runtime.handle().clone();
            Trial::ignorable_test(test.name, move || attempt(&handle, test.body, world))
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let end = match Arc::into_inner(world) {
        Some(world) => runtime.block_on(world.finish()),
        None => Err(anyhow!("a test still holds the world")),
    };
    if let Err(error) = end {
        eprintln!("test the end of the run, with nothing left running ... FAILED\n{error:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn attempt(handle: &Handle, body: Body, world: Arc<World>) -> Result<Completion, Failed> {
    let outcome = handle.block_on(async {
        let test = AssertUnwindSafe(body(Arc::clone(&world))).catch_unwind();
        match timeout(LONGEST, test).await.context("the test hangs")? {
            Ok(outcome) => outcome,
            Err(panic) => bail!("{}", told(panic.as_ref())),
        }
    });
    let Err(error) = outcome else {
        return Ok(Completion::Completed);
    };
    if let Some(lacking) = error.downcast_ref::<Lacking>() {
        return Ok(Completion::ignored_with(lacking));
    }
    let log = world.gateway_log();
    let log = log.map(|log| format!("\nThe shared gateways' last lines:\n{log}"));
    Err(Failed::from(format!(
        "{error:#}{}",
        log.unwrap_or_default()
    )))
}

/// What a panic said.
fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".to_owned())
}
