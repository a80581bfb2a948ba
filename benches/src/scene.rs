//! What is measured, one file for each kind of work.

mod campaign;
mod gateway;
mod id2;
mod idle;
mod login;
mod message;
mod post;
mod rrpc;
mod scan;
mod start;

pub(crate) use campaign::campaign;
pub(crate) use gateway::gateway;
pub(crate) use id2::id2;
pub(crate) use idle::{IDLE, idle};
pub(crate) use login::{login, scale, storm, ticket};
pub(crate) use message::{flood, looped, pairs};
pub(crate) use post::{paced, post};
pub(crate) use rrpc::rrpc;
pub(crate) use scan::{scan, vulns};
pub(crate) use start::start;

use crate::broker::cpu;
use std::{num::NonZeroU16, time::Duration};

/// How long a scene of many messages lasts.
const FLOOD: Duration = Duration::from_secs(8);

fn packet_id(n: u64) -> NonZeroU16 {
    NonZeroU16::new((n % 60_000) as u16 + 1).expect("from 1")
}

/// Waits until a server has nothing to do any more: less than 1 % of a CPU over half a second.
async fn settle(pid: u32) {
    let pause = Duration::from_millis(500);
    for _ in 0..120 {
        let before = cpu(pid);
        tokio::time::sleep(pause).await;
        if cpu(pid) - before < pause.as_micros() as f64 / 100.0 {
            return;
        }
    }
    panic!("the server never comes to rest");
}
