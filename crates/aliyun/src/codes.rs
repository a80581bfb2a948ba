//! Vendor numbers and names, surface by surface; they appear here and nowhere else.

pub mod alink;
pub mod business;
pub mod fss;
pub mod gateway;
pub mod id2;
pub mod itls;
pub mod shadow;
pub mod topology;
