//! The plain listener's settings and the file of its users.

use crate::config::Plain;
use access::{Porter, Terms};
use async_trait::async_trait;
use credential::crypto::password::PasswordHash;
use model::port::Random;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Longest password file that is read, in bytes.
const FILE_MOST: u64 = 16 * 1024 * 1024;
/// Passwords that are hashed at once; each takes a processor for a while.
const AT_ONCE: usize = 2;

/// What the access room is to know of the plain listener.
pub(crate) fn settings(plain: &Plain, random: Arc<dyn Random>) -> Result<access::Plain, String> {
    if plain.is_open_to_strangers() {
        tracing::warn!(
            address = %plain.address,
            "the plain listener lets everybody in, from other machines too"
        );
    }
    let porter = match &plain.password_file {
        Some(path) => {
            let users = PasswordFile::open(path)?;
            Some(Arc::new(Doorman::new(users)) as Arc<dyn Porter>)
        }
        None => None,
    };
    Ok(access::Plain {
        name: "plain".into(),
        anonymous: plain.anonymous,
        porter,
        refuse: plain.refuse.clone(),
        qos: plain.maximum_qos,
        retain: plain.retain_available,
        terms: Terms {
            receive_maximum: plain.receive_maximum,
            packet: usize::try_from(plain.maximum_packet_size).unwrap_or(usize::MAX),
            topic_aliases: plain.topic_alias_maximum,
            keep_alive: plain.server_keep_alive,
            session_life: Duration::from_secs(plain.session_expiry_maximum.into()),
            assign_ids: plain.assign_client_ids,
            response_information: plain.response_information.clone(),
            wildcards: plain.wildcard_subscriptions,
            identifiers: plain.subscription_identifiers,
            shared: plain.shared_subscriptions,
        },
        random,
    })
}

/// A file with a line `user:hash` for each user.
#[derive(Clone)]
pub(crate) struct PasswordFile {
    path: PathBuf,
    stamp: Stamp,
    users: HashMap<String, PasswordHash>,
}

/// By which a file that was changed is known.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    changed: Option<SystemTime>,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, String> {
        let metadata = fs::metadata(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        Ok(Self {
            size: metadata.len(),
            changed: metadata.modified().ok(),
        })
    }
}

impl PasswordFile {
    /// Reads a file.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let shown = path.display();
        let stamp = Stamp::of(path)?;
        if stamp.size > FILE_MOST {
            return Err(format!("{shown} is longer than {FILE_MOST} bytes"));
        }
        let text =
            fs::read_to_string(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        Ok(Self {
            path: path.into(),
            stamp,
            users: users(&text).map_err(|(line, wrong)| format!("{shown} line {line}: {wrong}"))?,
        })
    }

    fn is_current(&self) -> bool {
        Stamp::of(&self.path).is_ok_and(|stamp| stamp == self.stamp)
    }
}

/// Reads the lines of a file; blank lines and comments (`#`) are passed over. The fault comes with
/// the number of its line.
pub(crate) fn users(text: &str) -> Result<HashMap<String, PasswordHash>, (usize, String)> {
    let mut users = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line
            .split_once(':')
            .ok_or_else(|| (number, "is not written as user:hash".to_owned()))?;
        let hash = PasswordHash::parse(hash).map_err(|error| (number, error.to_string()))?;
        if users.insert(user.to_owned(), hash).is_some() {
            return Err((number, format!("{user:?} is there a second time")));
        }
    }
    Ok(users)
}

/// The file's text with the line of a user set, or taken away.
pub(crate) fn with_user(text: &str, user: &str, hash: Option<&PasswordHash>) -> String {
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.split_once(':').is_none_or(|(other, _)| other != user))
        .map(ToOwned::to_owned)
        .collect();
    lines.extend(hash.map(|hash| format!("{user}:{}", hash.to_text())));
    lines
        .iter()
        .flat_map(|line| [line.as_str(), "\n"])
        .collect()
}

/// Checks passwords against the file as it is now.
struct Doorman {
    file: Arc<Mutex<Arc<PasswordFile>>>,
    turns: Arc<Semaphore>,
}

impl Doorman {
    fn new(file: PasswordFile) -> Self {
        Self {
            file: Arc::new(Mutex::new(Arc::new(file))),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The file, read again if it was changed; as it was while it cannot be read.
    fn current(file: &Mutex<Arc<PasswordFile>>) -> Arc<PasswordFile> {
        let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
        if !file.is_current() {
            match PasswordFile::open(&file.path) {
                Ok(new) => *file = Arc::new(new),
                Err(error) => tracing::error!(error, "the password file is used as it was"),
            }
        }
        file.clone()
    }
}

#[async_trait]
impl Porter for Doorman {
    async fn admits(&self, user: &str, password: &[u8]) -> bool {
        let Ok(turn) = self.turns.clone().acquire_owned().await else {
            return false;
        };
        let file = self.file.clone();
        let user = user.to_owned();
        let password = Zeroizing::new(password.to_vec());
        let checked = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let file = Doorman::current(&file);
            match file.users.get(&user) {
                Some(hash) => hash.is_of(&password),
                // As long as for a user who is there, lest the time tell who is.
                None => file.users.values().next().is_some_and(|hash| {
                    let _ = hash.is_of(&password);
                    false
                }),
            }
        });
        checked.await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::Secret;

    fn hash(password: &str) -> PasswordHash {
        PasswordHash::new(&Secret::new(password.into()), [1; 16], 2)
    }

    #[test]
    fn a_line_is_set_and_taken_away_and_the_others_stay() {
        let text = with_user("# ours\n\n", "a", Some(&hash("x")));
        let text = with_user(&text, "b", Some(&hash("y")));
        let text = with_user(&text, "a", Some(&hash("z")));
        assert!(text.starts_with("# ours\n\nb:$7$2$"), "{text}");
        let users = users(&text).unwrap();
        assert_eq!(users.len(), 2);
        assert!(users["a"].is_of(b"z") && users["b"].is_of(b"y"));
        assert!(!with_user(&text, "b", None).contains("b:"));
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let good = format!("a:{}\n", hash("x").to_text());
        for (text, wants) in [
            (format!("{good}nonsense\n"), "is not written as user:hash"),
            (format!("{good}b:$6$c2FsdA==$aGFzaA==\n"), "$7$"),
            (format!("{good}{good}"), "a second time"),
        ] {
            let (line, wrong) = users(&text).err().unwrap();
            assert_eq!(line, 2, "{text}");
            assert!(wrong.contains(wants), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_changed_file_holds_from_the_next_login_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        fs::write(&path, with_user("", "a", Some(&hash("x")))).unwrap();
        let doorman = Doorman::new(PasswordFile::open(&path).unwrap());
        assert!(doorman.admits("a", b"x").await);
        assert!(!doorman.admits("a", b"y").await);
        assert!(!doorman.admits("b", b"x").await);
        fs::write(&path, with_user("", "other", Some(&hash("y")))).unwrap();
        assert!(doorman.admits("other", b"y").await);
        assert!(!doorman.admits("a", b"x").await);
        fs::remove_file(&path).unwrap();
        assert!(doorman.admits("other", b"y").await, "as it was");
    }
}
