//! Letters that tell somebody that a scan is over ([FS-7]). A letter is written down together with
//! the end of its scan, and stays until it was handed over, its scan is forgotten, or it is too
//! old; so neither a mail server that is away nor a restart loses one, and no scan waits for mail.
//! Who carries letters is not known here: whoever does asks for those that are due.

use crate::{
    Hub,
    document::{put, remove},
    scan::ScanTask,
};
use model::{
    error::Fault,
    id::Time,
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};

const LETTER: &str = "mail";
/// Most time between two tries.
const REST_MOST: i64 = 60 * 60 * 1000;
/// How long a letter is tried.
const LIFE: i64 = 3 * 24 * 60 * 60 * 1000;

/// A letter about a scan that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    /// The scan; each has one letter.
    pub scan: String,
    /// To whom.
    pub to: String,
    /// When it was written.
    pub written: Time,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next.
    pub due: Time,
}

/// The letter of a scan that ends, if somebody wants one.
pub(crate) fn mail_put(task: &ScanTask, now: Time) -> Result<Option<Put>, Fault> {
    let Some(to) = &task.email else {
        return Ok(None);
    };
    let letter = Letter {
        scan: task.id.clone(),
        to: to.clone(),
        written: now,
        tries: 0,
        due: now,
    };
    put(LETTER, task.id.clone(), &letter, Expect::Anything).map(Some)
}

/// What forgets the letter of a scan.
pub(crate) fn mail_remove(scan: &str) -> Put {
    remove(LETTER, scan.to_owned(), Expect::Anything)
}

impl Hub {
    /// Letters that are to be carried now with their scans, and when the next one is.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn mail_due(&self) -> Result<(Vec<(Letter, ScanTask)>, Option<Time>), Fault> {
        let now = self.now();
        let (mut due, mut next) = (Vec::new(), None::<Time>);
        for letter in self.documents::<Letter>(LETTER, "").await? {
            if letter.due > now {
                next = Some(next.map_or(letter.due, |next| next.min(letter.due)));
                continue;
            }
            match self.scan_task(&letter.scan).await? {
                Some(task) => due.push((letter, task)),
                None => self.mail_done(&letter.scan).await?,
            }
        }
        Ok((due, next))
    }

    /// A letter was handed over, or nobody will ever take it.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn mail_done(&self, scan: &str) -> Result<(), Fault> {
        self.document_put(vec![mail_remove(scan)]).await.map(|_| ())
    }

    /// A letter could not be handed over: it is tried again after `rest` milliseconds, each time
    /// after twice as long as before, up to an hour. Gives when; none when it was tried for three
    /// days and is given up.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn mail_later(&self, letter: &Letter, rest: i64) -> Result<Option<Time>, Fault> {
        let rest = rest
            .saturating_mul(1 << letter.tries.min(20))
            .min(REST_MOST);
        let due = self.now().plus(rest);
        if due.since(letter.written) > LIFE {
            self.mail_done(&letter.scan).await?;
            return Ok(None);
        }
        let changed = self
            .document_change::<Letter>(LETTER, &letter.scan, |letter| {
                letter.tries += 1;
                letter.due = due;
            })
            .await?;
        Ok(changed.map(|letter| letter.due))
    }

    /// Waits for a letter to be written.
    pub async fn mail_waits(&self) {
        self.mail_news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        scan::{NewScan, Outcome, ScanState},
        stage::Stage,
    };
    use std::collections::BTreeMap;

    const MINUTE: i64 = 60_000;

    async fn ended(stage: &Stage, email: Option<&str>) -> String {
        let new = NewScan {
            url: Some(format!("https://a.aliyuncs.com/{email:?}.bin")),
            email: email.map(str::to_owned),
            ..NewScan::default()
        };
        let permit = stage.permit().await;
        let task = stage.hub.scan_create(&permit, new).await.unwrap();
        let next = stage.hub.scan_next().await.unwrap().unwrap();
        assert_eq!(next.id, task.id);
        assert!(stage.hub.mail_due().await.unwrap().0.is_empty());
        let (outcome, documents) = (Outcome::default(), BTreeMap::new());
        stage
            .hub
            .scan_done(&task.id, &outcome, documents)
            .await
            .unwrap();
        task.id
    }

    /// [FS-7] The end of a scan writes a letter to whoever asked for one; it stays until it is
    /// carried, is tried again later and later, and is given up after three days.
    #[tokio::test]
    async fn a_mail_waits_until_it_is_carried() {
        let stage = Stage::set().await;
        let hub = &stage.hub;
        ended(&stage, None).await;
        assert!(hub.mail_due().await.unwrap().0.is_empty());
        let id = ended(&stage, Some("li@example.com")).await;
        hub.mail_waits().await;
        let (due, _) = hub.mail_due().await.unwrap();
        assert_eq!(
            (due[0].0.to.as_str(), &due[0].1.id),
            ("li@example.com", &id)
        );
        assert_eq!(due[0].1.state, ScanState::Done);

        let mut letter = due[0].0.clone();
        let mut rests = Vec::new();
        while let Some(at) = hub.mail_later(&letter, MINUTE).await.unwrap() {
            let (due, next) = hub.mail_due().await.unwrap();
            assert!(due.is_empty() && next == Some(at));
            let rest = at.since(hub.now());
            rests.push(rest / MINUTE);
            stage.clock.move_by(rest);
            letter = hub.mail_due().await.unwrap().0[0].0.clone();
        }
        assert_eq!(rests[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!((70..80).contains(&rests.len()), "{}", rests.len());
        assert!(hub.mail_due().await.unwrap().0.is_empty());
    }

    /// A scan that is forgotten takes its letter with it; one that failed has one, too.
    #[tokio::test]
    async fn a_letter_goes_with_its_scan() {
        let stage = Stage::set().await;
        let hub = &stage.hub;
        let id = ended(&stage, Some("li@example.com")).await;
        let permit = stage.permit().await;
        hub.scan_delete(&permit, &id).await.unwrap();
        let (due, next) = hub.mail_due().await.unwrap();
        assert!(due.is_empty() && next.is_none());

        let new = NewScan {
            url: Some("https://a.aliyuncs.com/fw.bin".into()),
            email: Some("li@example.com".into()),
            ..NewScan::default()
        };
        let task = hub.scan_create(&permit, new).await.unwrap();
        hub.scan_next().await.unwrap();
        let failed = hub.scan_fail(&task.id, ScanState::FetchFailed, "gone");
        failed.await.unwrap();
        let (due, _) = hub.mail_due().await.unwrap();
        assert_eq!(due[0].1.state, ScanState::FetchFailed);
        hub.mail_done(&task.id).await.unwrap();
        assert!(hub.mail_due().await.unwrap().0.is_empty());
    }
}
