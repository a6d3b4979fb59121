//! As much of msgpack as the protocol needs (`https://github.com/msgpack/msgpack/blob/master/spec.md`).

mod read;
mod write;

pub(crate) use read::{Value, read};
pub(crate) use write::{
    array, binary, double, event_time, map, negative, nil_or_bool, text, unsigned,
};
