//! TOML, environment and flags turned into validated settings that know their origin; no runtime and no sockets.

#![forbid(unsafe_code)]
