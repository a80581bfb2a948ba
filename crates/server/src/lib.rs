//! The program `muster`: configuration, assembly, start and stop, the admin API and the command
//! line.
//!
//! Start with [`serve`], where the rooms are put together, and `config` for what an operator may
//! choose; `admin` is the API of our own, `cli` the command line over it, `doctor` what is wrong
//! with a set-up. This room knows everybody; no rule of the product and no vendor's word lives
//! here.

mod admin;
mod backup;
mod bucket;
pub mod cli;
pub mod config;
mod doctor;
mod download;
pub mod engine;
mod feeds;
mod first_start;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod http;
mod inspect;
mod itls;
mod mail;
mod notify;
mod plain;
mod ready;
mod scanner;
mod serve;
#[cfg(test)]
mod stage;
mod token;

pub use config::Config;
pub use first_start::FirstStart;
pub use serve::{Addresses, Running, StartError, start, start_with};
