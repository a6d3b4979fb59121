//! The short forms: some thousand made-up events a schema, some thousand executions a target.

mod differential;
mod guest;
mod targets;
