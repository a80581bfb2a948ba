//! How a device gets the files of an upgrade over HTTP: in one go or, when that breaks off, from
//! where it was (RFC 9110 §14, §13.1.5); then it checks them.

use crate::{
    Stage,
    chance::Chance,
    fate::{Fate, Lot},
    link::reach,
    notice::{File, Method, Notice, Place},
};
use credential::crypto::digest::FileDigests;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, Response, StatusCode, Uri, body::Bytes, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

/// How often in a row nothing comes before a device gives up.
const TRIES: u32 = 60;
/// How long it waits before it tries again.
const PAUSE: Duration = Duration::from_millis(500);
/// How long it waits for the next bytes.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it says how far it is.
const TALK: Duration = Duration::from_secs(1);
/// The longest that it waits because a server asks for it.
const LATER: u64 = 60;

/// Failures of an upgrade (seed 001 §4).
pub(crate) const DOWNLOAD: i64 = -2;
pub(crate) const CHECK: i64 = -3;
pub(crate) const INSTALL: i64 = -4;

/// What a download has to tell.
pub(crate) struct Told {
    pub(crate) body: usize,
    /// Of which attempt.
    pub(crate) attempt: u32,
    pub(crate) news: News,
}

pub(crate) enum News {
    /// Percent.
    Progress(i64),
    /// The connection of the device breaks off here.
    Drop,
    /// All is there and as it should be, or not: with which number, and why.
    Over(Result<(), (i64, String)>),
}

/// The bytes of an upgrade, checked as they come; a fault that is planted is in here.
pub(crate) struct Sheaf {
    method: Method,
    lot: Lot,
    file: FileDigests,
    size: u64,
    got: u64,
    dropped: bool,
}

/// Where a download ends before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The planted loss of all connections.
    Dropped,
    Failed(i64, String),
}

impl Sheaf {
    pub(crate) fn new(notice: &Notice, lot: Lot) -> Self {
        Self {
            method: notice.method,
            lot,
            file: FileDigests::default(),
            size: notice.size(),
            got: 0,
            dropped: false,
        }
    }

    /// Takes the next bytes of the file.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Ends> {
        let first = self.got == 0;
        self.got += bytes.len() as u64;
        match bytes.split_first() {
            // One bit on the way.
            Some((byte, rest)) if first && self.lot.fate == Fate::Check => {
                self.file.update(&[byte ^ 1]);
                self.file.update(rest);
            }
            _ => self.file.update(bytes),
        }
        if self.got * 2 < self.size {
            return Ok(());
        }
        if self.lot.fate == Fate::Download {
            return Err(Ends::Failed(DOWNLOAD, "the download broke off".into()));
        }
        if self.lot.drops && !self.dropped {
            self.dropped = true;
            return Err(Ends::Dropped);
        }
        Ok(())
    }

    /// A file is complete.
    pub(crate) fn file_ends(&mut self, file: &File) -> Result<(), Ends> {
        let (md5, sha256) = std::mem::take(&mut self.file).finish();
        let found = match self.method {
            Method::Md5 => md5,
            Method::Sha256 => sha256,
        };
        match found == file.sign {
            true => Ok(()),
            false => Err(Ends::Failed(CHECK, "the file is not what was sent".into())),
        }
    }

    /// All files are there and right.
    pub(crate) fn ends(&self) -> Result<(), (i64, String)> {
        match self.lot.fate {
            Fate::Install => Err((INSTALL, "the flash cannot be written".into())),
            _ => Ok(()),
        }
    }

    pub(crate) fn percent(&self) -> i64 {
        let percent = u128::from(self.got) * 100 / u128::from(self.size.max(1));
        i64::try_from(percent.min(99)).unwrap_or(99)
    }
}

/// A download of one attempt of a body.
pub(crate) struct Fetch {
    pub(crate) stage: Arc<Stage>,
    pub(crate) body: usize,
    pub(crate) attempt: u32,
    pub(crate) notice: Notice,
    pub(crate) lot: Lot,
    pub(crate) chance: Chance,
    pub(crate) tell: mpsc::Sender<Told>,
}

impl Fetch {
    pub(crate) async fn run(mut self) {
        let mut sheaf = Sheaf::new(&self.notice, self.lot);
        let files = std::mem::take(&mut self.notice.files);
        let mut over = Ok(());
        for file in &files {
            over = Box::pin(self.file(file, &mut sheaf)).await;
            if over.is_err() {
                break;
            }
        }
        self.say(News::Over(over.and_then(|()| sheaf.ends()))).await;
    }

    async fn say(&self, news: News) {
        let told = Told {
            body: self.body,
            attempt: self.attempt,
            news,
        };
        // Nobody listens any more when the device is played no longer.
        let _ = self.tell.send(told).await;
    }

    async fn file(&mut self, file: &File, sheaf: &mut Sheaf) -> Result<(), (i64, String)> {
        let Place::Url(url) = &file.place else {
            return Err((DOWNLOAD, "no address".into()));
        };
        let uri: Uri = url.parse().map_err(|_| (DOWNLOAD, "no address".into()))?;
        let mut part = Part::default();
        let mut tries = 0;
        while part.offset < file.size || file.size == 0 {
            let before = part.offset;
            match self.part(&uri, file, &mut part, sheaf).await {
                Ok(()) => {}
                Err(Ends::Failed(step, why)) => return Err((step, why)),
                Err(Ends::Dropped) => {
                    self.say(News::Drop).await;
                    sleep(self.chance.around(PAUSE)).await;
                }
            }
            if file.size == 0 {
                break;
            }
            tries = if part.offset > before { 0 } else { tries + 1 };
            if tries > TRIES {
                return Err((DOWNLOAD, "nothing comes".into()));
            }
        }
        sheaf.file_ends(file).map_err(|ends| match ends {
            Ends::Failed(step, why) => (step, why),
            Ends::Dropped => (DOWNLOAD, "dropped".into()),
        })
    }

    /// Fetches as much as comes in one answer. What can be mended by trying again is no error.
    async fn part(
        &mut self,
        uri: &Uri,
        file: &File,
        part: &mut Part,
        sheaf: &mut Sheaf,
    ) -> Result<(), Ends> {
        let asked = timeout(PATIENCE, Box::pin(self.ask(uri, part))).await;
        let Ok(Some(response)) = asked else {
            sleep(self.chance.around(PAUSE)).await;
            return Ok(());
        };
        let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        match response.status() {
            StatusCode::OK if part.offset == 0 => {}
            StatusCode::PARTIAL_CONTENT if part.offset > 0 => {
                self.stage.board.note(|tally| tally.upgrades.resumed += 1);
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                let later = header(hyper::header::RETRY_AFTER).and_then(|v| v.parse().ok());
                let later = Duration::from_secs(later.unwrap_or(1).min(LATER));
                sleep(self.chance.around(later)).await;
                return Ok(());
            }
            status => {
                let why = format!("the server answers {status}");
                return Err(Ends::Failed(DOWNLOAD, why));
            }
        }
        part.tag = header(hyper::header::ETAG).map(str::to_owned);
        let mut body = response.into_body();
        let mut said = Instant::now();
        while let Ok(Some(Ok(frame))) = timeout(PATIENCE, body.frame()).await {
            let Some(bytes) = frame.data_ref() else {
                continue;
            };
            let many = bytes.len() as u64;
            part.offset += many;
            self.stage.board.note(|tally| tally.upgrades.bytes += many);
            if part.offset > file.size {
                return Err(Ends::Failed(CHECK, "more came than was told".into()));
            }
            sheaf.take(bytes)?;
            if said.elapsed() > TALK {
                said = Instant::now();
                self.say(News::Progress(sheaf.percent())).await;
            }
        }
        Ok(())
    }

    async fn ask(&self, uri: &Uri, part: &Part) -> Option<Response<Incoming>> {
        let secure = uri.scheme_str() == Some("https");
        let host = uri.host()?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = secure.then_some(&self.stage.trust);
        let stream = reach(host, port, tls).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        tokio::spawn(connection);
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = uri.authority()?.as_str();
        let mut request = Request::get(path).header(hyper::header::HOST, authority);
        if part.offset > 0 {
            let range = format!("bytes={}-", part.offset);
            request = request.header(hyper::header::RANGE, range);
            if let Some(tag) = &part.tag {
                request = request.header(hyper::header::IF_RANGE, tag);
            }
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        sender.send_request(request).await.ok()
    }
}

/// How much of a file is there.
#[derive(Default)]
struct Part {
    offset: u64,
    tag: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::crypto::digest::Hash;

    fn notice(content: &[u8]) -> Notice {
        Notice {
            module: "default".into(),
            version: "2".into(),
            method: Method::Sha256,
            files: vec![File {
                place: Place::Url("http://h/f".into()),
                size: content.len() as u64,
                sign: Hash::Sha256.hex(content),
            }],
        }
    }

    /// Where it dropped, how the file ended, how the attempt ended.
    type Played = (Vec<u64>, Result<(), Ends>, Result<(), (i64, String)>);

    fn play(lot: Lot) -> Played {
        let content = [7_u8; 100];
        let notice = notice(&content);
        let mut sheaf = Sheaf::new(&notice, lot);
        let mut drops = Vec::new();
        for some in content.chunks(10) {
            match sheaf.take(some) {
                Ok(()) => {}
                Err(Ends::Dropped) => drops.push(sheaf.got),
                Err(failed) => return (drops, Err(failed), sheaf.ends()),
            }
        }
        let file = sheaf.file_ends(&notice.files[0]);
        (drops, file, sheaf.ends())
    }

    #[test]
    fn a_planted_fault_happens_where_it_belongs() {
        let of = |fate| play(Lot { fate, drops: false });
        assert_eq!(of(Fate::Well), (vec![], Ok(()), Ok(())));
        let failed = |(_, file, _): Played| match file {
            Err(Ends::Failed(step, _)) => step,
            other => panic!("{other:?}"),
        };
        assert_eq!(failed(of(Fate::Download)), DOWNLOAD);
        assert_eq!(failed(of(Fate::Check)), CHECK, "one bit is enough");
        assert_eq!(of(Fate::Install).2.unwrap_err().0, INSTALL);
        let dropped = play(Lot {
            fate: Fate::Well,
            drops: true,
        });
        assert_eq!(dropped, (vec![50], Ok(()), Ok(())), "once, and it goes on");
    }
}
