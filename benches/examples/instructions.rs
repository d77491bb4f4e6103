//! Does each operation of a request N times and 2 N times, for callgrind, which counts the instructions of
//! `measured_operations` and writes down before each call of it what it has counted until then; the example `micro` reads it.
//!
//! `instructions N [GROUP…]` prints one line an operation, in their order: group, tab, name.

use std::process::ExitCode;

use benches::micro::operations;

#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to a script"
)]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let times = arguments.next().and_then(|text| text.parse::<u32>().ok());
    let Some(times) = times.filter(|times| *times > 0) else {
        eprintln!("usage: instructions TIMES [GROUP…]");
        return ExitCode::FAILURE;
    };
    let groups: Vec<String> = arguments.collect();
    for mut operation in operations() {
        if !groups.is_empty() && !groups.iter().any(|group| group == operation.group) {
            continue;
        }
        println!("{}\t{}", operation.group, operation.name);
        // What is done once only, such as the first allocation of its kind, counts nowhere.
        (operation.once)();
        measured_operations(&mut *operation.once, times);
        measured_operations(&mut *operation.once, 2 * times);
    }
    ExitCode::SUCCESS
}

#[inline(never)]
fn measured_operations(once: &mut dyn FnMut(), times: u32) {
    for _ in 0..times {
        once();
    }
}
