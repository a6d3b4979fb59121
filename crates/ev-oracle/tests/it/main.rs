//! The oracles against what Go recorded: whoever judges others must be right alone.

mod data;
mod order;
mod reflect;
mod slow;
