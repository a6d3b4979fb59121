//! What must survive a restart, in SQLite behind the StateStore trait; the only crate with SQL.

#![forbid(unsafe_code)]
