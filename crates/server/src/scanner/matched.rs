//! Keeps what scans found matched with the feeds: when the feeds change, every scan is held against
//! the new ones without unpacking anything, and devices that turn out to be exposed are told of.

use super::{CallOff, DOSSIER, Ended, REST, Scanner, outcome, pour};
use crate::{
    feeds,
    inspect::{Image, inspect},
};
use hub::scan::{Rules, ScanTask};
use model::error::Fault;
use std::{
    io::Write,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch};

/// How often is looked whether somebody imported feeds.
const LOOK: Duration = Duration::from_secs(2);

/// A scan, and the vulnerabilities that were not known of it before.
pub(crate) type Matched = (ScanTask, Vec<String>);

impl Scanner {
    /// Matches scans anew whenever the feeds are others than those that they were matched with,
    /// until `stop`. Each scan says with which it was, so what is cut short goes on at the next
    /// start.
    pub(crate) async fn keep_matched(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let work = async {
            loop {
                let seen = feeds::look(&self.vulns);
                if let Err(fault) = self.rematch(false).await {
                    tracing::warn!(%fault, "scans are not matched with the feeds as they are now");
                    tokio::time::sleep(REST).await;
                }
                while feeds::look(&self.vulns) == seen {
                    tokio::select! {
                        () = self.stale.notified() => break,
                        () = tokio::time::sleep(LOOK) => {}
                    }
                }
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stopping| *stopping) => {}
            () = work => {}
        }
    }

    /// Matches every scan that was matched with other feeds, or every scan at all, and tells devices
    /// what became known of what they run.
    ///
    /// # Errors
    /// The first one in words of a fault; the other scans are matched all the same.
    pub(crate) async fn rematch(&self, all: bool) -> Result<Vec<Matched>, Fault> {
        let _turn = self.turn.lock().await;
        // What was cut short.
        self.hub.news_tell().await?;
        let feeds = match all {
            true => String::from("none"),
            false => self.feeds().await?,
        };
        let (mut matched, mut failed) = (Vec::new(), None);
        for task in self.hub.scan_stale(&feeds).await? {
            if !task.documents.contains_key(DOSSIER) {
                continue;
            }
            match self.again(&task).await {
                Ok(new) => matched.push((task, new)),
                Err(fault) => {
                    tracing::warn!(%fault, task = task.id, "a scan is not matched");
                    failed = Some(fault);
                }
            }
            self.hub.news_tell().await?;
        }
        failed.map_or(Ok(matched), Err)
    }

    /// What stands for the feeds as they are now.
    pub(super) async fn feeds(&self) -> Result<String, Fault> {
        let folder = self.vulns.clone();
        let made = tokio::task::spawn_blocking(move || feeds::stamp(&folder)).await;
        made.map_err(|error| Fault::passing(format!("the feeds: {error}")))?
    }

    /// Matches what a scan found with the feeds as they are now; gives vulnerabilities that were not
    /// known of it before.
    ///
    /// # Errors
    /// In words of a fault.
    async fn again(&self, task: &ScanTask) -> Result<Vec<String>, Fault> {
        let Some(blob) = task.documents.get(DOSSIER).cloned() else {
            return Ok(Vec::new());
        };
        let feeds = self.feeds().await?;
        let stop = Arc::new(AtomicBool::new(false));
        let _call_off = CallOff(stop.clone());
        let (hub, order, here) = (
            self.hub.clone(),
            self.order(Rules::Basic),
            Handle::current(),
        );
        let done = tokio::task::spawn_blocking(move || {
            let mut feed = move |to: &mut dyn Write| pour(&here, &hub, &blob, to);
            inspect(&order, Image::Dossier(&mut feed), &mut |_| {}, &stop)
        });
        let done = done
            .await
            .map_err(|error| Fault::passing(format!("a scan: {error}")))?;
        let mut dossier =
            done.map_err(|broken| Fault::lasting(format!("scan {}: {}", task.id, broken.why)))?;
        dossier.judgements = self.judgements(task).await?;
        let outcome = outcome(&dossier, feeds);
        let written = self.write(task, dossier).await;
        written.map_err(|ended| match ended {
            Ended::Failed(_, why) => Fault::lasting(format!("scan {}: {why}", task.id)),
            Ended::Fault(fault) => fault,
        })?;
        self.hub.scan_matched(&task.id, &outcome).await
    }
}
