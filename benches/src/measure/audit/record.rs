//! The record that is sent.

use std::net::Ipv4Addr;

use ev_audit::{
    Caller, CallerIdentityType, Operation, OperationCategory, OperationType, Record, ServiceId,
    Target,
};

/// Bytes of the frame of [`typical`].
pub const FRAME_BYTES: usize = 575;

/// A record with one of everything, whose frame has [`FRAME_BYTES`].
pub fn typical(seq: i64) -> Record {
    let caller = Caller::new(Ipv4Addr::new(192, 168, 0, 1), "Agent", "a")
        .access_level("b")
        .identity(CallerIdentityType::UPN, "user1@domain.com", "Description");
    let operation = Operation::new("Operation", OperationCategory::USER_MANAGEMENT, "AccessLevel")
        .category(OperationCategory::AUTHENTICATION)
        .of_type(OperationType::READ)
        .result_description("Description")
        .succeeded();
    let target = Target::new("Name").cluster("Cluster").data_center("DataCenter").region("Region");
    Record::builder()
        .caller(caller)
        .operation(operation)
        .target("ResourceType", target)
        .custom("seq", seq)
        .build()
}

/// Whose record it is.
///
/// # Panics
///
/// Never: the id is a good one.
pub fn service() -> ServiceId {
    "e6c9fcb1-7f08-4c1d-9e7a-123456789abc".parse().expect("an id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_has_the_size_that_figures_are_given_for() {
        let mut frame = Vec::new();
        ev_audit::wire::encode_record(
            &mut frame,
            ev_audit::Plane::Data,
            &typical(7),
            &service(),
            1_700_000_000,
        );
        assert_eq!(frame.len(), FRAME_BYTES);
    }
}
