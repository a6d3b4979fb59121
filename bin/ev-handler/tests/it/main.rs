//! The whole program against servers that speak the real protocols over real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod artifacts;
mod audit;
mod checklist;
mod config_command;
mod configure_command;
mod decode_command;
mod docs;
mod doctor;
mod dry_run;
mod export;
mod faults;
mod first_start;
mod flavour;
mod https;
mod locking;
mod logins;
mod openssl_recipe;
mod pages;
mod pains;
mod parked_command;
mod receiver;
mod repair_command;
mod replay_command;
mod road;
mod roads;
mod scenarios;
mod schema_command;
mod shadow_command;
mod sinks;
mod site;
mod stage;
mod surroundings;
mod takeover;
mod terminal;
mod toolchains;
mod two_receivers;
mod unread;
mod unstructured;
mod verify_command;
mod watchdog;
mod web;
mod wrong_input;
