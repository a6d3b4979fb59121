//! Schema tables and the one pass from protobuf wire bytes to JSON; natively and inside the guest.

#![forbid(unsafe_code)]
