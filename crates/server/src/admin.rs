//! The admin API under `/api/v1`: what the vendors' public APIs lack, and what the command line
//! needs.
//!
//! A handler admits the caller, asks the policies, calls one verb of the hub, and turns the answer
//! into JSON. Routes and OpenAPI document come of the same table (`routes`), so neither can know
//! of an operation that the other does not.

mod account;
mod audit;
mod backup;
mod call;
mod campaign;
mod configuration;
mod device;
mod error;
mod export;
mod firmware;
mod group;
mod history;
mod id2;
mod product;
mod scan;
mod session;
#[cfg(test)]
mod tests;
mod thing;
mod thing_model;
mod topology;
mod view;
pub(crate) mod watch;
mod wiring;

use crate::serve::Addresses;
use axum::{
    Json, Router, body::Bytes, http::header::CONTENT_TYPE, middleware::from_fn_with_state,
    routing::get,
};
use call::Call;
pub(crate) use call::Local;
#[cfg(any(test, fuzzing))]
pub(crate) use call::claim;
pub(crate) use error::AdminError;
use hub::Hub;
use model::port::Ports;
use std::sync::{Arc, OnceLock};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder};
use utoipa_axum::{router::OpenApiRouter, routes};
pub(crate) use view::{parse_time, time};

/// Where this API is mounted.
pub(crate) const PATH: &str = "/api/v1";

/// Where files are handed in, below that.
pub(crate) const UPLOADS: &str = "/uploads";

/// What an answer is.
type Answer<T> = Result<Json<T>, AdminError>;

/// What every handler may use.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) hub: Arc<Hub>,
    /// For questions to the engine that are no verb: how long the audit log is.
    pub(crate) ports: Ports,
    /// Whether a secret may come over HTTP in clear.
    pub(crate) insecure: bool,
    /// What there is of MQTT sessions, once the listeners are open.
    pub(crate) sessions: Arc<OnceLock<access::Sessions>>,
    /// What `GET /server` tells.
    pub(crate) about: Arc<About>,
    /// Whether the server can do its work.
    pub(crate) ready: Arc<crate::ready::Ready>,
    /// Who may read the counters.
    pub(crate) metrics_to: crate::config::MetricsTo,
    /// What backups are made of.
    pub(crate) backup: Arc<crate::backup::Source>,
    /// What runs scans.
    pub(crate) scanner: Arc<crate::scanner::Scanner>,
    /// One backup at a time.
    pub(crate) backup_turn: Arc<tokio::sync::Semaphore>,
}

/// This process.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) node: String,
    pub(crate) started: model::id::Time,
    pub(crate) addresses: Addresses,
}

/// Every operation, with what describes it.
fn table() -> OpenApiRouter<Admin> {
    OpenApiRouter::with_openapi(head())
        .routes(routes!(server))
        .routes(routes!(product::create, product::list))
        .routes(routes!(product::show, product::delete))
        .routes(routes!(product::secret))
        .routes(routes!(product::registration))
        .routes(routes!(product::strict_channel))
        .routes(routes!(product::mqtt))
        .routes(routes!(product::release))
        .routes(routes!(product::topic_create))
        .routes(routes!(product::topic_delete))
        .routes(routes!(thing_model::show, thing_model::import))
        .routes(routes!(thing_model::publish))
        .routes(routes!(thing_model::versions))
        .routes(routes!(device::register, device::list))
        .routes(routes!(device::register_many))
        .routes(routes!(device::show, device::delete))
        .routes(routes!(device::secret))
        .routes(routes!(device::reset_secret))
        .routes(routes!(device::enable))
        .routes(routes!(device::reset))
        .routes(routes!(device::disable))
        .routes(routes!(topology::page, topology::bind))
        .routes(routes!(topology::ask))
        .routes(routes!(topology::gateway, topology::unbind))
        .routes(routes!(wiring::channels, wiring::channel_add))
        .routes(routes!(wiring::channel_set, wiring::channel_remove))
        .routes(routes!(wiring::places, wiring::place))
        .routes(routes!(wiring::mapping, wiring::map, wiring::unmap))
        .routes(routes!(wiring::pushed, wiring::push))
        .routes(routes!(configuration::show, configuration::set))
        .routes(routes!(configuration::push))
        .routes(routes!(thing::wishes, thing::wish))
        .routes(routes!(thing::log, thing::log_switch))
        .routes(routes!(thing::trace, thing::trace_switch))
        .routes(routes!(session::device))
        .routes(routes!(session::plain))
        .routes(routes!(history::latest, history::set))
        .routes(routes!(history::property))
        .routes(routes!(history::ask))
        .routes(routes!(history::events))
        .routes(routes!(history::services))
        .routes(routes!(history::invoke))
        .routes(routes!(account::create, account::list))
        .routes(routes!(account::enable))
        .routes(routes!(account::disable))
        .routes(routes!(account::user_create, account::user_list))
        .routes(routes!(account::user_delete))
        .routes(routes!(account::user_enable))
        .routes(routes!(account::user_disable))
        .routes(routes!(account::attach, account::detach))
        .routes(routes!(account::key_create, account::key_list))
        .routes(routes!(account::key_delete))
        .routes(routes!(account::key_enable))
        .routes(routes!(account::key_disable))
        .routes(routes!(account::policy_list))
        .routes(routes!(account::policy_put, account::policy_delete))
        .routes(routes!(audit::page))
        .routes(routes!(audit::verify))
        .routes(routes!(firmware::upload))
        .routes(routes!(firmware::create, firmware::list))
        .routes(routes!(firmware::show, firmware::delete))
        .routes(routes!(firmware::versions))
        .routes(routes!(campaign::create, campaign::list))
        .routes(routes!(campaign::show))
        .routes(routes!(campaign::tasks))
        .routes(routes!(campaign::cancel))
        .routes(routes!(campaign::pace))
        .routes(routes!(campaign::confirm))
        .routes(routes!(campaign::again))
        .routes(routes!(id2::setting, id2::set))
        .routes(routes!(id2::vendor))
        .routes(routes!(id2::token))
        .routes(routes!(id2::chips))
        .routes(routes!(id2::issue))
        .routes(routes!(id2::batch_create, id2::batch_list))
        .routes(routes!(id2::batch_set))
        .routes(routes!(id2::batch_file))
        .routes(routes!(id2::list, id2::import))
        .routes(routes!(id2::show, id2::change))
        .routes(routes!(id2::examine))
        .routes(routes!(group::create, group::list))
        .routes(routes!(group::show, group::change, group::delete))
        .routes(routes!(group::devices, group::add))
        .routes(routes!(group::remove))
        .routes(routes!(scan::create, scan::list))
        .routes(routes!(scan::show, scan::delete))
        .routes(routes!(scan::report))
        .routes(routes!(scan::judge))
        .routes(routes!(scan::rematch))
        .routes(routes!(scan::policy, scan::policy_set))
        .routes(routes!(scan::of_firmware, scan::firmware_again))
        .routes(routes!(scan::except, scan::unexcept))
        .routes(routes!(scan::exposed))
        .routes(routes!(scan::holding))
        .routes(routes!(scan::news))
        .routes(routes!(backup::make))
        .routes(routes!(export::export))
}

/// The routes, and beside them the document that describes them.
pub(crate) fn routes(admin: Admin) -> Router {
    let (router, document) = table().split_for_parts();
    // As text: each route has a copy of it.
    let document = document.to_json().expect("text, numbers, lists and maps");
    let document = Bytes::from(document);
    let form = [(CONTENT_TYPE, "application/json")];
    router
        .route_layer(from_fn_with_state(admin.clone(), call::count))
        .with_state(admin)
        .route("/openapi.json", get(async move || (form, document)))
        .method_not_allowed_fallback(error::wrong_method)
        .fallback(error::no_route)
}

fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Muster admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Over the server's local socket no credential is needed. Over HTTPS, send an access \
             key as HTTP Basic (id and secret), or sign with ACS3. Errors are \
             {\"error\": {\"code\", \"message\", \"help\"}}.",
        ))
        .build();
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([utoipa::openapi::Server::new(PATH)]))
        .build()
}

/// What this server is.
#[derive(serde::Serialize, utoipa::ToSchema)]
struct ServerView {
    /// Version of the program.
    version: &'static str,
    /// Name of this server.
    node: String,
    /// When it was started.
    started: String,
    /// Its clock.
    now: String,
    /// Connected devices.
    sessions: i64,
    /// Listeners with their addresses.
    listen: Addresses,
}

/// Tells what this server is and where it listens.
#[utoipa::path(get, path = "/server", tag = "server",
    responses((status = 200, body = ServerView), (status = "4XX", body = error::ErrorView)))]
async fn server(call: Call) -> Answer<ServerView> {
    call.allow("muster:ReadServer", model::account::Resource::Any, false)
        .await?;
    let hub = &call.admin.hub;
    Ok(Json(ServerView {
        version: env!("CARGO_PKG_VERSION"),
        node: call.admin.about.node.clone(),
        started: view::time(call.admin.about.started),
        now: view::time(hub.now()),
        sessions: hub.metrics().sessions(),
        listen: call.admin.about.addresses.clone(),
    }))
}
