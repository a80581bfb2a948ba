//! The device SDK for C: `id2_client.h` (seed 000 section 1.1.7), `sign_api.h` (seed 001 section
//! 3.4) and `muster_hal.h`, what a port to a board brings.
//!
//! Start reading at [`id2_client`]; each of its functions is checks, one call into `device`, and a
//! number. `hal_itls` is a connection that the identity encrypts. [`state`] keeps the one client that the C interface knows, [`hal`] asks the board, and
//! [`files`] is the board of a Linux machine. The only room with `unsafe`: all of it is about
//! pointers that come from C, and [`boundary`] has most of it.

#![cfg_attr(not(feature = "std"), no_std)]

pub mod boundary;
#[cfg(feature = "std")]
pub mod files;
pub mod hal;
#[cfg(feature = "itls")]
pub mod hal_itls;
pub mod id2_client;
pub mod sign_api;
pub mod state;

/// A panic is a bug of ours, and firmware has nobody to tell; a watchdog ends the loop.
#[cfg(not(feature = "std"))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
