//! What a client says of itself in heartbeats.

use crate::model::ServiceId;
use crate::wire::Heartbeat;

/// The version that agents know: that of the client that the format comes from.
const AUDIT_VERSION: &str = "v.2.0.0";

/// A heartbeat of `service`, but for its destination.
pub(crate) fn default_heartbeat(service: ServiceId) -> Heartbeat {
    Heartbeat {
        service,
        audit_version: AUDIT_VERSION.to_owned(),
        os_version: os_version(),
        language: concat!("rust", env!("CARGO_PKG_RUST_VERSION")).to_owned(),
        ..Heartbeat::default()
    }
}

/// The release of the kernel, as `uname -r` says it.
#[cfg(unix)]
fn os_version() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn os_version() -> String {
    std::env::consts::OS.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn the_kernel_is_named_as_uname_names_it() {
        let said = std::process::Command::new("uname").arg("-r").output().unwrap();
        let heartbeat = default_heartbeat(ServiceId::default());
        assert_eq!(heartbeat.os_version, String::from_utf8(said.stdout).unwrap().trim_end());
        assert_eq!(heartbeat.audit_version, "v.2.0.0");
        assert!(heartbeat.language.starts_with("rust1."), "{}", heartbeat.language);
    }
}
