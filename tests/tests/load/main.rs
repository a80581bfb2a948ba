//! Many at once, and one who is too much: a fleet that comes back in one moment, and somebody who
//! guesses at secrets beside devices that show theirs.

mod fleet;
mod start;
mod storm;
mod throttle;
