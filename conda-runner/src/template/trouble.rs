//! Why no worker came of a template.

/// What went wrong between wanting a fork and its being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateTrouble {
    pub(crate) why: Why,
    /// For people.
    pub(crate) message: String,
    /// What was printed last.
    pub(crate) lines: Vec<String>,
    /// The start of the template that it is about, if it is.
    pub(crate) start: Option<u64>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It failed too often to be tried again before the next start of the gateway.
    GivenUp,
    /// The template did not come to the point where it can fork.
    NotStarted,
    /// The template starts, and took too much of the worker's time for that.
    NotReady,
    /// The template has imported what the model brings along in its own way.
    Unsuited,
    /// Packages were installed since the template started, and since the one after it did as well.
    Stale,
    /// The template did not fork.
    NotForked,
    /// A fork ended before it was ready.
    Died,
    /// A fork was not ready in time, or did not answer its example.
    Silent,
}

impl TemplateTrouble {
    pub(crate) fn new(why: Why, message: impl Into<String>) -> Self {
        Self {
            why,
            message: message.into(),
            lines: Vec::new(),
            start: None,
        }
    }

    #[must_use]
    pub(super) fn of_start(self, number: u64) -> Self {
        Self {
            start: Some(number),
            ..self
        }
    }

    #[must_use]
    pub(crate) fn with_lines(mut self, lines: Vec<String>) -> Self {
        self.lines = lines;
        self
    }
}

impl Why {
    /// The word for programs.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::GivenUp => "TEMPLATE_GIVEN_UP",
            Self::NotStarted => "TEMPLATE_NOT_STARTED",
            Self::NotReady => "TEMPLATE_NOT_READY",
            Self::Unsuited => "FORK_UNSUITED",
            Self::Stale => "TEMPLATE_STALE",
            Self::NotForked => "FORK_FAILED",
            Self::Died => "FORK_DIED",
            Self::Silent => "FORK_NOT_READY",
        }
    }
}
