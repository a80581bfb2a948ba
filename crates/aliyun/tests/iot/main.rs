//! The application API from the outside of its room: signed requests through the whole door, over
//! the real hub and the embedded engine ([AL-7.1]).

mod call;
mod coverage;
mod device;
mod door;
mod id2;
mod message;
mod ota;
mod product;
mod property;
mod stage;
mod thing_model;
mod things;
mod topo;
