//! Why no worker came of a template.

/// What went wrong between wanting a fork and its being ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TemplateTrouble {
    pub(crate) why: Why,
    /// For people.
    pub(crate) message: String,
    /// What was printed last.
    pub(crate) lines: Vec<String>,
}

/// The kinds of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It failed too often to be tried again before the next start of the gateway.
    GivenUp,
    /// The template did not come to the point where it can fork.
    NotStarted,
    /// The template has imported what the model brings along in its own way.
    Unsuited,
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
            Self::Unsuited => "FORK_UNSUITED",
            Self::NotForked => "FORK_FAILED",
            Self::Died => "FORK_DIED",
            Self::Silent => "FORK_NOT_READY",
        }
    }
}
