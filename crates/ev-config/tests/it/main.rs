//! Command line, file and environment together, as the binary uses them.

mod defaults;
mod flags;
mod page;
mod parity;
mod precedence;
mod printed;
mod refusals;
mod rig;
mod unknown;
mod warnings;
