//! The fakes over real sockets, and the events made for them.

mod auth;
mod certificates;
mod client;
mod data;
mod fluentd;
mod programs;
