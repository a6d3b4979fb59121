//! Locks users out after failed logins, beside the stream of events.
//!
//! [`Lockout`] is told of each failed login, counts it and decides; [`Setter`] has the locks set,
//! and tries again until they are. Neither ever makes an event wait: a failed login costs a look
//! into a table in memory, and Auth is called by a task of its own.
//!
//! # What is counted
//!
//! Failed logins of one user, and of one login of the operating system where the event names one:
//! users never share a counter. So many are let pass in any stretch of the period; each one more
//! locks, so with the usual three the fourth within a minute does. Time is that of the events:
//! a backlog that is read within a second is no burst. An event counts once, however often it is
//! told.
//!
//! Counters are not kept over a restart, and memory is bounded: the users who failed longest ago
//! are forgotten first. Locks that wait to be set are handed to whoever keeps a state
//! ([`Lockout::put_into`]) and taken up again ([`Lockout::restore`]).
//!
//! Left to others: which events are failed logins and which of them are new (whoever calls), and
//! how Auth is reached ([`ev_core::Locks`]).

#![forbid(unsafe_code)]

mod limiter;
mod lockout;
mod queue;
mod setter;

pub use lockout::{Config, Counts, FailedLogin, Lockout};
pub use setter::Setter;
