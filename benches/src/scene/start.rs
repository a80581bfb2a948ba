//! A start after `kill -9`.

use crate::{
    broker::{Broker, Door, Muster},
    load::Client,
    report::{Report, Row},
};

/// From the start of the process to the first CONNACK, with a million devices registered.
pub(crate) async fn start(muster: &mut Muster, report: &mut Report) {
    let began = muster.restart();
    let login = muster.login(Door::Device, 0);
    drop(Client::open(muster.address(Door::Device), None, &login).await);
    let seconds = began.elapsed().as_secs_f64();
    let name = "first login after a start with 1,000,000 devices";
    report.add(Row::new(name, seconds, "s").at_most(2.0));
}
