//! Certificates and keys: read, checked and re-read when they change, for source, sink and audit client.

#![forbid(unsafe_code)]
