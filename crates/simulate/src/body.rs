//! A device: what it has, what it says, and what it does when it is told something.

use crate::{
    Device, Stage,
    chance::Chance,
    fate::{Fate, Lot},
    fetch::{DOWNLOAD, Ends, Fetch, INSTALL, News, Sheaf, Told},
    line::now,
    link::{Link, Sent},
    notice::{Notice, Piece, Place},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, task::AbortHandle, time::Instant};

/// Bytes of a piece over MQTT.
const PIECE: u64 = 64 * 1024;
/// How long a piece may take before it is asked for again.
pub(crate) const PIECE_WAITS: Duration = Duration::from_secs(10);
/// How often a piece is asked for.
const PIECE_TRIES: u32 = 10;

pub(crate) struct Body {
    pub(crate) device: Device,
    /// Below which its topics are.
    root: String,
    lot: Lot,
    chance: Chance,
    values: Map<String, Value>,
    versions: BTreeMap<String, String>,
    /// What it installed so far.
    installed: BTreeSet<(String, String)>,
    /// Upgrades that it began with.
    attempts: u32,
    pub(crate) upgrade: Option<Upgrade>,
    /// A failure that the server has not acknowledged.
    unheard: Option<(i64, String, String)>,
    /// It is logged in.
    pub(crate) online: bool,
}

/// What it is at.
pub(crate) struct Upgrade {
    module: String,
    version: String,
    lot: Lot,
    at: At,
}

enum At {
    Fetching(AbortHandle),
    Pieces(Box<Pieces>),
    /// From here on it takes `Plan::install`.
    Installing,
}

/// Files that come over MQTT.
struct Pieces {
    notice: Notice,
    sheaf: Sheaf,
    file: usize,
    offset: u64,
    tries: u32,
    asked: Instant,
    /// The connection is to break off here.
    dropping: bool,
}

/// What its line has to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    Nothing,
    /// It installs, and starts again afterwards.
    Install,
    /// It looks again later whether a piece came.
    AwaitPiece,
    /// Its connection breaks off.
    Drop,
}

impl Body {
    pub(crate) fn new(
        device: Device,
        lot: Lot,
        versions: &BTreeMap<String, String>,
        chance: Chance,
    ) -> Self {
        let root = format!("{}/{}", device.product, device.name);
        Self {
            device,
            root,
            lot,
            chance,
            values: Map::new(),
            versions: versions.clone(),
            installed: BTreeSet::new(),
            attempts: 0,
            upgrade: None,
            unheard: None,
            online: false,
        }
    }

    fn topic(&self, rest: &str) -> String {
        format!("/sys/{}/{rest}", self.root)
    }

    /// What it says first on a connection: what went wrong while nobody heard it, its versions,
    /// and, when it is at an upgrade piece by piece, what it wants next. While it installs it is
    /// not heard: it would tell the version that it is about to leave.
    pub(crate) fn greet(&mut self, at: usize, link: &mut Link) {
        if let Some(Upgrade {
            at: At::Installing, ..
        }) = &self.upgrade
        {
            return;
        }
        self.tell_failure(at, link);
        self.inform(link);
        if let Some(Upgrade {
            at: At::Pieces(pieces),
            ..
        }) = &mut self.upgrade
        {
            pieces.asked = Instant::now();
            let topic = format!("/sys/{}/thing/file/download", self.root);
            pieces.ask(&topic, link);
        }
    }

    fn inform(&self, link: &mut Link) {
        let topic = format!("/ota/device/inform/{}", self.root);
        for (module, version) in &self.versions {
            let mut params = json!({"version": version});
            if module != "default" {
                params["module"] = json!(module);
            }
            let report = json!({"id": link.word(), "params": params});
            link.tell(&topic, report.to_string(), Sent::Other);
        }
    }

    /// Posts its properties.
    pub(crate) fn post(&mut self, stage: &Stage, link: &mut Link) {
        let model = self.device.model.clone();
        self.values = model.properties(&mut self.chance, now());
        if !self.values.is_empty() {
            self.post_values(stage, link, &Value::Object(self.values.clone()));
        }
    }

    fn post_values(&self, stage: &Stage, link: &mut Link, params: &Value) {
        let method = "thing.event.property.post";
        let post = json!({"id": link.word(), "version": "1.0", "params": params, "method": method});
        let topic = self.topic("thing/event/property/post");
        link.tell(&topic, post.to_string(), Sent::Post);
        stage.board.note(|tally| tally.posts.properties += 1);
    }

    /// Posts one of its events.
    pub(crate) fn post_event(&mut self, stage: &Stage, link: &mut Link) {
        let model = self.device.model.clone();
        let now = now();
        let Some((event, value)) = model.event(&mut self.chance, now) else {
            return;
        };
        let post = json!({
            "id": link.word(), "version": "1.0", "params": {"value": value, "time": now},
            "method": format!("thing.event.{event}.post"),
        });
        let topic = self.topic(&format!("thing/event/{event}/post"));
        link.tell(&topic, post.to_string(), Sent::Post);
        stage.board.note(|tally| tally.posts.events += 1);
    }

    /// Takes a message to it on a topic of its own, as far as the part that names it.
    pub(crate) fn hears(
        &mut self,
        at: usize,
        topic: &str,
        payload: &Bytes,
        (stage, tell): (&Arc<Stage>, &mpsc::Sender<Told>),
        link: &mut Link,
    ) -> Deed {
        let read = || serde_json::from_slice::<Value>(payload).unwrap_or(Value::Null);
        if topic.starts_with("/ota/device/upgrade/") {
            let Some(notice) = Notice::read(&read()["data"]) else {
                return Deed::Nothing;
            };
            return self.told(at, notice, stage, tell, link);
        }
        let Some(rest) = topic
            .strip_prefix("/sys/")
            .and_then(|rest| rest.strip_prefix(self.root.as_str()))
        else {
            return Deed::Nothing;
        };
        match rest.trim_start_matches('/') {
            "thing/file/download_reply" => return self.piece(at, payload, stage, link),
            "thing/service/property/set" => {
                let params = read()["params"].clone();
                let set = params.as_object().cloned().unwrap_or_default();
                let reply = format!("{topic}_reply");
                if self.answer(&reply, &read(), &json!({}), stage, link, false) {
                    self.values.extend(set);
                    self.post_values(stage, link, &params);
                }
            }
            "thing/service/property/get" => {
                let request = read();
                let wanted = request["params"].as_array().cloned().unwrap_or_default();
                let named = wanted.iter().filter_map(Value::as_str);
                let found: Map<String, Value> = named
                    .filter_map(|name| Some((name.to_owned(), self.values.get(name)?.clone())))
                    .collect();
                let reply = format!("{topic}_reply");
                self.answer(&reply, &request, &Value::Object(found), stage, link, false);
            }
            rest => {
                if let Some(word) = rest.strip_prefix("rrpc/request/") {
                    let request = read();
                    let method = request["method"].as_str().unwrap_or_default();
                    let service = method.rsplit('.').next().unwrap_or_default();
                    let data = self.outcome(service);
                    let reply = self.topic(&format!("rrpc/response/{word}"));
                    self.answer(&reply, &request, &data, stage, link, true);
                } else if let Some(service) = rest.strip_prefix("thing/service/")
                    && !service.ends_with("_reply")
                {
                    let data = self.outcome(service);
                    let reply = format!("{topic}_reply");
                    self.answer(&reply, &read(), &data, stage, link, true);
                } else if rest.starts_with("thing/event/") && rest.ends_with("_reply") {
                    let taken = read()["code"] == 200;
                    stage.board.note(|tally| match taken {
                        true => tally.posts.taken += 1,
                        false => tally.posts.refused += 1,
                    });
                }
            }
        }
        Deed::Nothing
    }

    fn outcome(&mut self, service: &str) -> Value {
        let model = self.device.model.clone();
        model.answer(service, &mut self.chance, now())
    }

    /// Answers a request, unless it is one of those who answer nothing.
    fn answer(
        &self,
        reply: &str,
        request: &Value,
        data: &Value,
        stage: &Stage,
        link: &mut Link,
        service: bool,
    ) -> bool {
        let answers = self.lot.fate != Fate::Silent;
        if answers {
            let answer = json!({"id": request["id"], "code": 200, "data": data});
            link.say(reply, answer.to_string());
        }
        stage.board.note(|tally| {
            match service {
                true => tally.commands.services += 1,
                false => tally.commands.properties += 1,
            }
            tally.commands.answered += u64::from(answers);
        });
        answers
    }

    /// Answers a free call with what it was asked.
    pub(crate) fn echo(&self, topic: &str, payload: Bytes, stage: &Stage, link: &mut Link) {
        let answers = self.lot.fate != Fate::Silent;
        if answers {
            link.say(topic, payload);
        }
        stage.board.note(|tally| {
            tally.commands.services += 1;
            tally.commands.answered += u64::from(answers);
        });
    }

    /// Is told to upgrade. It does what it is told, even when it has that version already, as
    /// simple devices do: a server that tells twice shows itself by it.
    fn told(
        &mut self,
        at: usize,
        notice: Notice,
        stage: &Arc<Stage>,
        tell: &mpsc::Sender<Told>,
        link: &mut Link,
    ) -> Deed {
        let same = self.upgrade.as_ref().is_some_and(|upgrade| {
            upgrade.version == notice.version && upgrade.module == notice.module
        });
        let late = !same && self.versions.get(&notice.module) == Some(&notice.version);
        stage.board.note(|tally| {
            tally.upgrades.told += 1;
            tally.upgrades.told_again += u64::from(same);
            tally.upgrades.told_late += u64::from(late);
        });
        if same || self.lot.fate == Fate::Silent {
            return Deed::Nothing;
        }
        if let Some(former) = self.upgrade.take() {
            former.ends(stage);
        }
        self.attempts += 1;
        let spared = stage.fails_first.is_some_and(|first| self.attempts > first);
        let lot = match spared {
            true => Lot::default(),
            false => self.lot,
        };
        stage.board.note(|tally| {
            tally.upgrades.begun += 1;
            tally.upgrades.at_it += 1;
        });
        let (module, version) = (notice.module.clone(), notice.version.clone());
        let over_mqtt = matches!(notice.files[0].place, Place::Stream(..));
        let progress = match over_mqtt {
            true => At::Pieces(Box::new(Pieces {
                sheaf: Sheaf::new(&notice, lot),
                notice,
                file: 0,
                offset: 0,
                tries: 0,
                asked: Instant::now(),
                dropping: false,
            })),
            false => {
                let fetch = Fetch {
                    stage: stage.clone(),
                    body: at,
                    attempt: self.attempts,
                    notice,
                    lot,
                    chance: Chance::new(self.chance.next(), 0),
                    tell: tell.clone(),
                };
                At::Fetching(tokio::spawn(fetch.run()).abort_handle())
            }
        };
        self.upgrade = Some(Upgrade {
            module,
            version,
            lot,
            at: progress,
        });
        self.piece_ask(link)
    }

    /// Hears from its download.
    pub(crate) fn fetched(&mut self, told: Told, stage: &Stage, link: &mut Link) -> Deed {
        if told.attempt != self.attempts || self.upgrade.is_none() {
            return Deed::Nothing;
        }
        match told.news {
            News::Progress(step) => {
                self.progress(link, step, "", Sent::Other);
                Deed::Nothing
            }
            News::Drop => Deed::Drop,
            News::Over(over) => self.over(told.body, over, stage, link),
        }
    }

    /// All files are there, or it came to nothing.
    fn over(
        &mut self,
        at: usize,
        over: Result<(), (i64, String)>,
        stage: &Stage,
        link: &mut Link,
    ) -> Deed {
        match (over, &mut self.upgrade) {
            (Ok(()), Some(upgrade)) => {
                upgrade.at = At::Installing;
                self.progress(link, 100, "", Sent::Other);
                Deed::Install
            }
            (Ok(()), None) => Deed::Nothing,
            (Err((step, why)), _) => {
                let module = match self.upgrade.take() {
                    Some(upgrade) => {
                        let module = upgrade.module.clone();
                        upgrade.ends(stage);
                        module
                    }
                    None => "default".into(),
                };
                let how = match step {
                    DOWNLOAD => "download",
                    INSTALL => "install",
                    _ => "check",
                };
                stage.board.note(|tally| {
                    *tally.upgrades.failed.entry(how).or_default() += 1;
                });
                self.unheard = Some((step, why, module));
                self.tell_failure(at, link);
                Deed::Nothing
            }
        }
    }

    fn tell_failure(&mut self, at: usize, link: &mut Link) {
        if let Some((step, why, module)) = self.unheard.clone() {
            self.progress_of(&module, link, step, &why, Sent::Failure(at));
        }
    }

    /// The server heard of the failure.
    pub(crate) fn failure_heard(&mut self) {
        self.unheard = None;
    }

    fn progress(&self, link: &mut Link, step: i64, why: &str, what: Sent) {
        let module = self.upgrade.as_ref().map_or("default", |u| &u.module);
        self.progress_of(module, link, step, why, what);
    }

    fn progress_of(&self, module: &str, link: &mut Link, step: i64, why: &str, what: Sent) {
        let topic = format!("/ota/device/progress/{}", self.root);
        let mut params = json!({"step": step.to_string(), "desc": why});
        if module != "default" {
            params["module"] = json!(module);
        }
        let report = json!({"id": link.word(), "params": params});
        link.tell(&topic, report.to_string(), what);
    }

    /// It starts again after an installation: with the new version, if all went well.
    pub(crate) fn starts_again(&mut self, stage: &Stage) {
        let Some(upgrade) = self
            .upgrade
            .take_if(|upgrade| matches!(upgrade.at, At::Installing))
        else {
            return;
        };
        let (module, version) = (upgrade.module.clone(), upgrade.version.clone());
        let boots = upgrade.lot.fate != Fate::Boot;
        upgrade.ends(stage);
        if !boots {
            stage.board.note(|tally| {
                *tally.upgrades.failed.entry("boot").or_default() += 1;
            });
            return;
        }
        let new = self.installed.insert((module.clone(), version.clone()));
        let former = self.versions.insert(module.clone(), version.clone());
        stage.board.note(|tally| {
            match new {
                true => tally.upgrades.done += 1,
                false => tally.upgrades.done_again += 1,
            }
            if module == "default" {
                tally.becomes(former.as_deref().unwrap_or_default(), &version);
            }
        });
    }

    /// Asks for the next piece, if it fetches piece by piece.
    fn piece_ask(&mut self, link: &mut Link) -> Deed {
        let topic = self.topic("thing/file/download");
        match &mut self.upgrade {
            Some(Upgrade {
                at: At::Pieces(pieces),
                ..
            }) => {
                pieces.ask(&topic, link);
                Deed::AwaitPiece
            }
            _ => Deed::Nothing,
        }
    }

    /// Asks again for a piece that did not come.
    pub(crate) fn piece_late(&mut self, at: usize, stage: &Stage, link: &mut Link) -> Deed {
        let topic = self.topic("thing/file/download");
        let Some(Upgrade {
            at: At::Pieces(pieces),
            ..
        }) = &mut self.upgrade
        else {
            return Deed::Nothing;
        };
        if pieces.asked.elapsed() >= PIECE_WAITS {
            pieces.tries += 1;
            if pieces.tries > PIECE_TRIES {
                let why = (DOWNLOAD, "no piece comes".to_owned());
                return self.over(at, Err(why), stage, link);
            }
            pieces.ask(&topic, link);
        }
        Deed::AwaitPiece
    }

    fn piece(&mut self, at: usize, payload: &Bytes, stage: &Stage, link: &mut Link) -> Deed {
        let topic = self.topic("thing/file/download");
        let Some(Upgrade {
            at: At::Pieces(pieces),
            ..
        }) = &mut self.upgrade
        else {
            return Deed::Nothing;
        };
        let Some(piece) = Piece::read(payload) else {
            return Deed::Nothing;
        };
        let over = match piece.code {
            200 if piece.offset != pieces.offset => return Deed::Nothing,
            200 => pieces.take(&piece, stage),
            code => Some(Err((DOWNLOAD, format!("the server answers {code}")))),
        };
        match over {
            None if pieces.dropping => {
                pieces.dropping = false;
                Deed::Drop
            }
            None => {
                pieces.ask(&topic, link);
                Deed::Nothing
            }
            Some(over) => self.over(at, over, stage, link),
        }
    }
}

impl Upgrade {
    /// It is at this no more.
    fn ends(self, stage: &Stage) {
        if let At::Fetching(fetch) = self.at {
            fetch.abort();
        }
        stage.board.note(|tally| tally.upgrades.at_it -= 1);
    }
}

impl Pieces {
    fn ask(&mut self, topic: &str, link: &mut Link) {
        let Some(file) = self.notice.files.get(self.file) else {
            return;
        };
        let Place::Stream(stream, number) = file.place else {
            return;
        };
        self.asked = Instant::now();
        let size = (file.size - self.offset).min(PIECE);
        let request = json!({"id": link.word(), "version": "1.0", "params": {
            "fileInfo": {"streamId": stream, "fileId": number},
            "fileBlock": {"size": size, "offset": self.offset},
        }});
        link.say(topic, request.to_string());
    }

    /// Takes a piece; says so when that was the last one, or it came to nothing.
    fn take(&mut self, piece: &Piece, stage: &Stage) -> Option<Result<(), (i64, String)>> {
        let file = self.notice.files.get(self.file)?;
        let many = piece.bytes.len() as u64;
        stage.board.note(|tally| tally.upgrades.bytes += many);
        self.tries = 0;
        self.offset += many;
        if many == 0 || self.offset > file.size {
            return Some(Err((DOWNLOAD, "a piece has another size".into())));
        }
        match self.sheaf.take(&piece.bytes) {
            Ok(()) => {}
            Err(Ends::Dropped) => self.dropping = true,
            Err(Ends::Failed(step, why)) => return Some(Err((step, why))),
        }
        if self.offset < file.size {
            return None;
        }
        if let Err(Ends::Failed(step, why)) = self.sheaf.file_ends(file) {
            return Some(Err((step, why)));
        }
        (self.file, self.offset) = (self.file + 1, 0);
        (self.file == self.notice.files.len()).then(|| self.sheaf.ends())
    }
}
