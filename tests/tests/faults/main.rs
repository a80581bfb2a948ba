//! What an operator's bad day brings: a full disk, one that is read-only, fails or is slow, a clock
//! that jumps, no database, no descriptors, no memory. Each test shows the same story: it works;
//! trouble comes, is told to whom it concerns in their own words, and harms nobody else; trouble
//! goes, and all goes on without a restart, with everything in the history that was acknowledged.

mod clock;
mod descriptors;
mod disk;
mod doctor;
mod memory;
mod orders;
mod postgres;
mod pressure;
mod scene;
mod sessions;
mod slow;
