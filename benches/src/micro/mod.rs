//! What a request passes on its way, each by itself: named operations, for the clock and for counting instructions.

mod door;
mod formats;
mod rows;

/// One thing that is done for each request, ready to be done again and again.
pub struct Operation {
    /// What kind of thing.
    pub group: &'static str,
    /// Which of them.
    pub name: String,
    /// Does it once.
    pub once: Box<dyn FnMut()>,
}

impl Operation {
    fn new<T>(
        group: &'static str,
        name: impl Into<String>,
        mut work: impl FnMut() -> T + 'static,
    ) -> Self {
        Self {
            group,
            name: name.into(),
            once: Box::new(move || {
                std::hint::black_box(work());
            }),
        }
    }
}

/// All of them, in the order in which a request meets them.
pub fn operations() -> Vec<Operation> {
    let mut all = door::operations();
    all.extend(formats::operations());
    all.extend(rows::operations());
    all
}
