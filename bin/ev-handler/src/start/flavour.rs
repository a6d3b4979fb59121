//! The form of the JSON: one for a state, settled before its first event.

use ev_config::{Road, Settings};
use ev_core::Flavour;

use super::{Error, parts};
use crate::takeover;

/// The flavour as far as it is settled without asking Auth: by the settings, by the state that has
/// begun, or by what a new one begins with. `None` leaves it to the road that is chosen first.
///
/// Every living version of the reference handler sends what Auth has put into a `Struct`, so a
/// state that is taken over from one goes on in that form.
///
/// # Errors
///
/// When the settings contradict the state, or the reference handler's state cannot be read.
pub(crate) fn settled(
    settings: &Settings,
    kept: Option<Flavour>,
) -> Result<Option<Flavour>, Error> {
    // What the settings ask for is held against the state when that is opened.
    if let Some(asked) = parts::flavour(settings) {
        return Ok(Some(asked));
    }
    let brings_struct = matches!(settings.ingest.source, Road::Unstructured | Road::Export);
    match kept {
        Some(Flavour::Go) if brings_struct => Err(Error::setting(
            "source",
            format!(
                "brings JSON of the flavour `struct`, but the state in `{}` was begun with `go`; \
                 remove the setting, or use another storage directory (events are then sent again \
                 from `start-time`)",
                settings.storage.display()
            ),
        )),
        Some(flavour) => Ok(Some(flavour)),
        None if brings_struct || takeover::is_due(settings)? => Ok(Some(Flavour::Struct)),
        None => Ok((settings.ingest.source == Road::Typed).then_some(Flavour::Go)),
    }
}
