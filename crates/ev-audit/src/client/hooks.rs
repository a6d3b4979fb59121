//! What an owner does with every record on its way.

use std::error::Error as StdError;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::error::Refused;
use crate::model::Record;
use crate::wire::Plane;

/// What a hook says when it does not want a record to be sent.
pub type HookError = Box<dyn StdError + Send + Sync>;

type Change = Box<dyn Fn(Plane, &mut Record) -> Result<(), HookError> + Send + Sync>;
type Look = Box<dyn Fn(Plane, &Record) + Send + Sync>;

/// Hooks in the order in which they were given.
#[derive(Default)]
pub(crate) struct Hooks {
    pub(crate) change: Vec<Change>,
    pub(crate) observe: Vec<Look>,
    pub(crate) overflow: Option<Look>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("change", &self.change.len())
            .field("observe", &self.observe.len())
            .field("overflow", &self.overflow.is_some())
            .finish()
    }
}

impl Hooks {
    /// Runs those that may change the record.
    pub(crate) fn change(&self, plane: Plane, record: &mut Record) -> Result<(), Refused> {
        for hook in &self.change {
            // A record that a panic left half changed is not sent; it goes back to the caller.
            match catch_unwind(AssertUnwindSafe(|| hook(plane, record))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Refused::Hook(error)),
                Err(_) => return Err(Refused::HookPanicked),
            }
        }
        Ok(())
    }

    /// Shows the record to those that only look. False when one panicked.
    pub(crate) fn observe(&self, plane: Plane, record: &Record) -> bool {
        let mut sound = true;
        for hook in &self.observe {
            // The others see the record all the same.
            sound &= contained(hook, plane, record);
        }
        sound
    }

    /// Shows a record that found no room. False when the handler panicked.
    pub(crate) fn overflow(&self, plane: Plane, record: &Record) -> bool {
        self.overflow.as_ref().is_none_or(|handler| contained(handler, plane, record))
    }
}

fn contained(hook: &Look, plane: Plane, record: &Record) -> bool {
    catch_unwind(AssertUnwindSafe(|| hook(plane, record))).is_ok()
}
