//! The application API's door: requests of the vendor's RPC style, signed in the query, in the
//! form body or in headers, at `/` (spec/cloud-api.md §1; [AL-7.1]).
//!
//! `door` is the way of a request, `request` reads it, `render` and `xml` write the answer. What
//! the actions are stands in `crate::iot`.

mod door;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub(crate) mod render;
pub(crate) mod request;
pub(crate) mod upload;
mod xml;

use axum::{Router, routing::get};
use hub::Hub;
use std::sync::Arc;

pub use upload::PATH as UPLOAD_PATH;

/// Bytes of a body that are taken. Ten thousand names of full length with their nicknames fit
/// (`BatchCheckDeviceNames`).
pub const BODY_MOST: usize = 4 * 1024 * 1024;

/// How numbers and truth values stand in JSON answers of the API of ID², whose document prints both
/// forms ([ID-8]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scalars {
    /// As its tables say: numbers and truth values.
    #[default]
    Native,
    /// As its examples print them: as strings.
    Text,
}

/// What the door works with.
#[derive(Clone)]
struct Door {
    hub: Arc<Hub>,
    scalars: Scalars,
}

/// The API at `/`. Whoever serves it puts a `hub::edge::Peer` into the extensions of every
/// request.
pub fn routes(hub: Arc<Hub>) -> Router {
    routes_with(hub, Scalars::Native)
}

/// The same, with answers in another form.
pub fn routes_with(hub: Arc<Hub>, scalars: Scalars) -> Router {
    let door = Door {
        hub: hub.clone(),
        scalars,
    };
    Router::new()
        .route("/", get(door::open).post(door::open).fallback(door::method))
        .with_state(door)
        .merge(upload::routes(hub))
}
