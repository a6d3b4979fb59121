//! Where security events of the handler itself go.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Build;
use super::address::check_address;
use crate::settings::{Audit, AuditEndpoint};

/// Bytes of a socket's path, by the room in `sockaddr_un` (`unix(7)`): 108 with the zero behind it.
const LONGEST_SOCKET: usize = 107;

impl Build<'_> {
    /// `None` when nobody takes them.
    pub(super) fn audit(&mut self) -> Option<Audit> {
        let Some(endpoint) = self.text("audit-endpoint") else {
            for name in ["audit-service", "audit-caller"] {
                if self.setting(name).origin.is_given() {
                    let endpoint = self.setting("audit-endpoint").named();
                    self.warn(name, format!("has no effect without an agent; set {endpoint}"));
                }
            }
            return None;
        };
        let endpoint = self.endpoint(&endpoint);
        let service = self.service();
        let caller = self.caller();
        let is_data_plane = self.choice("audit-plane") == "data";
        Some(Audit { endpoint: endpoint?, service: service?, is_data_plane, caller })
    }

    fn endpoint(&mut self, text: &str) -> Option<AuditEndpoint> {
        if text == "unix" {
            return Some(AuditEndpoint::UsualSockets);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            let length = path.len();
            if length > LONGEST_SOCKET {
                let message = format!(
                    "has a path of {length} bytes; that of a Unix socket has {LONGEST_SOCKET} at \
                     most"
                );
                self.problem("audit-endpoint", message);
                return None;
            }
            return Some(AuditEndpoint::Socket(PathBuf::from(path)));
        }
        let address = text.strip_prefix("tcp:").filter(|address| check_address(address).is_ok());
        if let Some(address) = address {
            return Some(AuditEndpoint::Tcp(address.to_owned()));
        }
        let message = format!(
            "`{text}` is no endpoint; it must be `unix`, `unix:` and an absolute path, or \
             `tcp:host:port`"
        );
        self.problem("audit-endpoint", message);
        None
    }

    fn service(&mut self) -> Option<String> {
        let Some(service) = self.text("audit-service") else {
            let endpoint = self.setting("audit-endpoint").named();
            let message = format!("is missing, and the agent of {endpoint} takes nothing without");
            self.problem("audit-service", message);
            return None;
        };
        if is_guid(&service) {
            return Some(service.to_ascii_lowercase());
        }
        let message = format!(
            "`{service}` is no service tree id; it must be a GUID such as \
             `01234567-89ab-cdef-0123-456789abcdef`, and not all zeros"
        );
        self.problem("audit-service", message);
        None
    }

    fn caller(&mut self) -> Option<IpAddr> {
        let text = self.text("audit-caller")?;
        match text.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => Some(address),
            _ => {
                let message = format!("`{text}` is no IP address of a machine");
                self.problem("audit-caller", message);
                None
            }
        }
    }
}

/// 8-4-4-4-12 hexadecimal digits, not all zeros.
fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let mut digits = parts.iter().flat_map(|part| part.bytes());
    lengths == [8, 4, 4, 4, 12]
        && digits.clone().all(|digit| digit.is_ascii_hexdigit())
        && digits.any(|digit| digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_has_its_form() {
        assert!(is_guid("E6c9fcb1-7f08-4c1d-9e7a-123456789abc"));
        for wrong in [
            "",
            "e6c9fcb17f084c1d9e7a123456789abc",
            "00000000-0000-0000-0000-000000000000",
            "e6c9fcb1-7f08-4c1d-9e7a-123456789abg",
            "e6c9fcb1-7f08-4c1d-9e7a-123456789ab",
        ] {
            assert!(!is_guid(wrong), "{wrong}");
        }
    }
}
