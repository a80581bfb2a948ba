//! Signatures of callers of the cloud API and of its message queue.

pub mod acs3;
pub mod aksign;
pub mod query;
pub mod rpc;
pub mod sigv4;
