//! The Teleport client: identity, dialling, Ping, the event APIs and artifact download; yields raw bytes and knows no JSON.

#![forbid(unsafe_code)]
