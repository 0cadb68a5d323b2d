//! Exit codes that mean something, and the one error that every command ends in.

use std::{error::Error, fmt, process::ExitCode};

/// Why a command ended without doing what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: FailureKind,
    /// What was attempted.
    act: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// What a script may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Anything else.
    Other,
    /// The settings cannot be used.
    Settings,
    /// The database cannot be used.
    Database,
    /// A chain cannot be used.
    Chain,
    /// Books and chain differ, or the ledger does not verify.
    Differs,
}

impl FailureKind {
    const fn code(self) -> u8 {
        match self {
            Self::Other => 1,
            Self::Settings => 3,
            Self::Database => 4,
            Self::Chain => 5,
            Self::Differs => 6,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Other => "failed",
            Self::Settings => "settings_invalid",
            Self::Database => "database_unusable",
            Self::Chain => "chain_unusable",
            Self::Differs => "books_differ",
        }
    }
}

impl Failure {
    pub(crate) fn new(
        kind: FailureKind,
        act: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self { kind, act: act.into(), cause: Some(cause.into()) }
    }

    pub(crate) fn plain(kind: FailureKind, act: impl Into<String>) -> Self {
        Self { kind, act: act.into(), cause: None }
    }

    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }

    /// The stable name of the kind.
    pub(crate) const fn code_name(&self) -> &'static str {
        self.kind.name()
    }
}

impl fmt::Display for Failure {
    /// The whole chain of causes, each once.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.act)?;
        let mut cause: Option<&dyn Error> = self.cause.as_ref().map(|cause| &**cause as &dyn Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// A command's outcome.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;
