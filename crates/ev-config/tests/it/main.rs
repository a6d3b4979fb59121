//! Command line, file and environment together, as the binary uses them.

mod chart;
mod defaults;
mod example;
mod flags;
mod page;
mod pains;
mod parity;
mod precedence;
mod printed;
mod receivers;
mod refusals;
mod rig;
mod sinks;
mod unknown;
mod warnings;
