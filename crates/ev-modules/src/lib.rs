//! Decoder artifacts: envelope, trust, policy, registry and building; runs no guest and opens no socket.

#![forbid(unsafe_code)]
