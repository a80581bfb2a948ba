//! The one client that the C interface knows, and the lock around it.

use crate::hal::{Holder, muster_carrier_t, muster_hal_t};
use device::{
    Form,
    id2::{Client, result},
};

/// What the port said, and the client while it runs.
pub(crate) struct State {
    pub(crate) hal: Option<muster_hal_t>,
    pub(crate) carrier: Option<muster_carrier_t>,
    pub(crate) client: Option<Client<Holder>>,
    pub(crate) form: Form,
    /// Host, its length, and whether to use TLS, for `IOT_Sign_MQTT`.
    pub(crate) host: ([u8; device::sign::HOSTNAME_MAX], usize),
    pub(crate) transport: device::sign::Transport,
}

// SAFETY: the pointers are the port's `context`, which goes from thread to thread with the lock.
unsafe impl Send for State {}

impl State {
    const fn new() -> State {
        State {
            hal: None,
            carrier: None,
            client: None,
            form: Form::Plain,
            host: ([0; device::sign::HOSTNAME_MAX], 0),
            transport: device::sign::Transport::Tls,
        }
    }

    /// The board: what the port said, else the files of a machine that has some.
    ///
    /// # Errors
    /// `NOT_IMPLEMENTED` on firmware whose port said nothing.
    pub(crate) fn hal(&self) -> Result<muster_hal_t, i32> {
        #[cfg(feature = "std")]
        let default = Some(crate::files::HAL);
        #[cfg(not(feature = "std"))]
        let default = None;
        self.hal.or(default).ok_or(result::NOT_IMPLEMENTED)
    }

    /// # Errors
    /// `GENERIC` while the client runs.
    pub(crate) fn not_running(&self) -> Result<(), i32> {
        match self.client {
            None => Ok(()),
            Some(_) => Err(result::GENERIC),
        }
    }

    /// The running client.
    ///
    /// # Errors
    /// `GENERIC` before `id2_client_init`.
    pub(crate) fn client(&mut self) -> Result<&mut Client<Holder>, i32> {
        self.client.as_mut().ok_or(result::GENERIC)
    }
}

/// Runs `body` with the state; one caller at a time.
///
/// # Errors
/// Those of `body`; without threads also `GENERIC` when another call has not returned yet.
#[cfg(feature = "std")]
pub(crate) fn with<T>(body: impl FnOnce(&mut State) -> Result<T, i32>) -> Result<T, i32> {
    use std::sync::{Mutex, PoisonError};
    static STATE: Mutex<State> = Mutex::new(State::new());
    body(&mut STATE.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Runs `body` with the state; one caller at a time.
///
/// # Errors
/// Those of `body`; without threads also `GENERIC` when another call has not returned yet.
#[cfg(not(feature = "std"))]
pub(crate) fn with<T>(body: impl FnOnce(&mut State) -> Result<T, i32>) -> Result<T, i32> {
    use core::{
        cell::UnsafeCell,
        sync::atomic::{AtomicBool, Ordering},
    };

    struct Shared(AtomicBool, UnsafeCell<State>);
    // SAFETY: who has set the flag is alone with the cell.
    unsafe impl Sync for Shared {}
    static STATE: Shared = Shared(AtomicBool::new(false), UnsafeCell::new(State::new()));

    if STATE.0.swap(true, Ordering::Acquire) {
        return Err(result::GENERIC);
    }
    // SAFETY: the flag was not set, and is until the reference is gone. A panic does not come back.
    let done = body(unsafe { &mut *STATE.1.get() });
    STATE.0.store(false, Ordering::Release);
    done
}
