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
}

impl Finding {
    pub(crate) fn new(
        setting: impl Into<String>,
        origin: &Origin,
        message: impl Into<String>,
    ) -> Self {
        let origin = Some(origin.clone()).filter(Origin::is_given);
        Self { setting: setting.into(), origin, message: message.into() }
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
