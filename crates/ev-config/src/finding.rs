//! What was found about one setting, as a problem or a warning.

use std::fmt;

use crate::Origin;

/// One sentence about one setting: a problem inside [`crate::ConfigError::Invalid`], or a warning
/// in [`crate::Loaded::warnings`].
///
/// Holds the offending value where that helps, but never the user and password of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting's name, or the unknown key.
    pub setting: String,
    /// Where its value came from; `None` when nobody gave one.
    pub origin: Option<Origin>,
    /// What is wrong and what is allowed, lower case.
    pub message: String,
    class: Class,
}

/// What a finding is, beyond its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Nobody can have meant it so; `--strict` refuses it.
    Mistake,
    /// It surprises some and is meant by others.
    Choice,
    /// It may be right a minute later, without anybody changing the configuration.
    Awaited,
}

impl Finding {
    pub(crate) fn new(
        setting: impl Into<String>,
        origin: &Origin,
        message: impl Into<String>,
    ) -> Self {
        let origin = Some(origin.clone()).filter(Origin::is_given);
        Self { setting: setting.into(), origin, message: message.into(), class: Class::Mistake }
    }

    /// The same as a warning that stays one under `--strict`.
    pub(crate) fn choice(self) -> Self {
        Self { class: Class::Choice, ..self }
    }

    /// The same as a problem that may be gone a minute later.
    pub(crate) fn awaited(self) -> Self {
        Self { class: Class::Awaited, ..self }
    }

    /// Whether `--strict` makes a problem of this warning: nobody can have meant it so.
    pub fn is_mistake(&self) -> bool {
        self.class == Class::Mistake
    }

    pub(crate) fn is_awaited(&self) -> bool {
        self.class == Class::Awaited
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.setting)?;
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.message)
    }
}
