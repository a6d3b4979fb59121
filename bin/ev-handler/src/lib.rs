//! The event forwarder: arguments, runtime, wiring and exit codes.

#![forbid(unsafe_code)]
