//! What each thing costs that is done for every request: the path, the token, the way in, each translation, merge and cut.
//! `-- --quick` for a first look.

use benches::micro::operations;
use criterion::Criterion;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for mut operation in operations() {
        let mut group = criterion.benchmark_group(operation.group);
        group.bench_function(operation.name, |bencher| bencher.iter(&mut operation.once));
        group.finish();
    }
    criterion.final_summary();
}
