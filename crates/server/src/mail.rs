//! Carries letters about scans that are over ([`hub::mail`]) to the mail server. A letter that cannot
//! be handed over is tried again later; nothing else waits for it.

use crate::config::{Mail, MailLanguage, MailTls};
use hub::{
    Hub,
    mail::Letter,
    scan::{ScanState, ScanTask},
};
use lettre::{
    Message, SmtpTransport, Transport,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
        response::{Category, Detail, Severity},
    },
};
use model::error::Fault;
use std::{fs, sync::Arc, time::Duration};
use tokio::sync::watch;

/// How long the mail server may take for one step.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited after trouble of the engine.
const REST: Duration = Duration::from_secs(1);
/// Severities, the worst first, in both languages.
const SEVERITIES: [(&str, &str); 5] = [
    ("严重", "critical"),
    ("高危", "high"),
    ("中危", "medium"),
    ("低危", "low"),
    ("通告", "notice"),
];

/// What carries letters.
pub(crate) struct Poster {
    pub(crate) hub: Arc<Hub>,
    pub(crate) mail: Mail,
}

/// Why a letter was not handed over.
enum Refused {
    /// The server will never take it.
    Never(String),
    /// It may go better later.
    Now(String),
}

impl Poster {
    /// Carries letters until `stop`.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        loop {
            let work = async {
                match self.round().await {
                    Ok(Some(wait)) => tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = self.hub.mail_waits() => {}
                    },
                    Ok(None) => self.hub.mail_waits().await,
                    Err(fault) => {
                        tracing::warn!(%fault, "letters wait; they are looked at again in a second");
                        tokio::time::sleep(REST).await;
                    }
                }
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = work => {}
            }
        }
    }

    /// Carries what is due; gives how long nothing will be.
    async fn round(&self) -> Result<Option<Duration>, Fault> {
        let (due, _) = self.hub.mail_due().await?;
        for (letter, task) in due {
            self.carry(&letter, &task).await?;
        }
        let (again, next) = self.hub.mail_due().await?;
        if !again.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        let wait = next.map(|next| next.since(self.hub.now()).max(0).unsigned_abs());
        Ok(wait.map(Duration::from_millis))
    }

    async fn carry(&self, letter: &Letter, task: &ScanTask) -> Result<(), Fault> {
        if self.mail.server.is_none() {
            tracing::warn!(
                scan = task.id,
                "somebody wants a letter about it, but mail.server is not set"
            );
            return self.hub.mail_done(&letter.scan).await;
        }
        let (mail, to) = (self.mail.clone(), letter.to.clone());
        let (subject, text) = self.words(task);
        let sent = tokio::task::spawn_blocking(move || send(&mail, &to, subject, text));
        let sent = sent
            .await
            .unwrap_or_else(|error| Err(Refused::Now(error.to_string())));
        match sent {
            Ok(()) => {
                tracing::info!(scan = task.id, "a letter about it was handed over");
                self.hub.mail_done(&letter.scan).await
            }
            Err(Refused::Never(why)) => {
                tracing::warn!(scan = task.id, why, "a letter about it is not taken");
                self.hub.mail_done(&letter.scan).await
            }
            Err(Refused::Now(why)) => {
                let rest = i64::try_from(self.mail.retry).unwrap_or(i64::MAX);
                match self.hub.mail_later(letter, rest).await? {
                    Some(_) => tracing::warn!(
                        scan = task.id,
                        why,
                        "a letter about it waits for the mail server"
                    ),
                    None => tracing::warn!(scan = task.id, why, "a letter about it is given up"),
                }
                Ok(())
            }
        }
    }

    /// Subject and text.
    fn words(&self, task: &ScanTask) -> (String, String) {
        let english = self.mail.language == MailLanguage::En;
        let say =
            |chinese: &'static str, words: &'static str| if english { words } else { chinese };
        let name = format!("{} {}", task.name, task.version);
        let name = match plain(name.trim()) {
            name if name.is_empty() => task.id.clone(),
            name => name,
        };
        let done = task.state == ScanState::Done;
        let head = match done {
            true => say("固件安全检测完成", "Firmware scan done"),
            false => say("固件安全检测失败", "Firmware scan failed"),
        };
        let subject = format!("{head}: {name}");
        let mut text = format!("{subject}\n\n{}: {}\n", say("任务", "Task"), task.id);
        if !task.sha256.is_empty() {
            text += &format!("SHA-256: {}\n", task.sha256);
        }
        if !task.why.is_empty() {
            text += &format!("{}: {}\n", say("原因", "Why"), plain(&task.why));
        }
        if let Some(found) = task.found.as_ref().filter(|_| done) {
            text += &format!("\n{}\n", say("发现的风险：", "What was found:"));
            for ((chinese, words), count) in SEVERITIES.into_iter().zip(found.counts) {
                text += &format!("  {}: {count}\n", if english { words } else { chinese });
            }
        }
        if done {
            let hours = self.hub.limits().link_life / (60 * 60 * 1000);
            text += &match english {
                true => format!("\nThe report (links are good for {hours} hours):\n"),
                false => format!("\n检测报告（链接 {hours} 小时内有效）：\n"),
            };
            for format in ["html", "pdf", "json"] {
                if let Ok(link) = self.hub.scan_link(task, format) {
                    text += &format!("  {}: {link}\n", format.to_uppercase());
                }
            }
        }
        (subject, text)
    }
}

/// A stranger's text on one line.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn send(mail: &Mail, to: &str, subject: String, text: String) -> Result<(), Refused> {
    let never = |why: String| Refused::Never(why);
    let from = mail.from.as_deref().unwrap_or_default();
    let from: Mailbox = from
        .parse()
        .map_err(|error| Refused::Now(format!("mail.from: {error}")))?;
    let to: Mailbox = to.parse().map_err(|error| never(format!("{error}")))?;
    let letter = Message::builder()
        .from(from)
        .to(to)
        .subject(subject)
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .map_err(|error| never(error.to_string()))?;
    let transport = transport(mail).map_err(Refused::Now)?;
    match transport.send(&letter) {
        Ok(_) => Ok(()),
        Err(error) => {
            // "There is no such mailbox": the rest, a login that fails among it, somebody may mend.
            let gone = error.status().is_some_and(|code| {
                code.severity == Severity::PermanentNegativeCompletion
                    && code.category == Category::MailSystem
                    && code.detail != Detail::Two
            });
            let why = told(&error);
            Err(if gone {
                Refused::Never(why)
            } else {
                Refused::Now(why)
            })
        }
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text += &format!(": {more}");
        }
        cause = error.source();
    }
    text
}

/// A way to the mail server. The password is read anew each time, as it may have changed.
fn transport(mail: &Mail) -> Result<SmtpTransport, String> {
    let server = mail.server.as_deref().unwrap_or_default();
    let guarded = || {
        let mut parameters = TlsParameters::builder(server.to_owned());
        if let Some(path) = &mail.ca {
            let pem = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
            let authority = Certificate::from_pem(&pem)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            parameters = parameters.add_root_certificate(authority);
        }
        parameters.build().map_err(|error| error.to_string())
    };
    let tls = match mail.tls {
        MailTls::None => Tls::None,
        MailTls::StartTls => Tls::Required(guarded()?),
        MailTls::Implicit => Tls::Wrapper(guarded()?),
    };
    let mut builder = SmtpTransport::builder_dangerous(server)
        .port(mail.port())
        .tls(tls)
        .timeout(Some(PATIENCE));
    if let (Some(user), Some(path)) = (&mail.user, &mail.password_file) {
        let password =
            fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let password = password.trim_end_matches(['\r', '\n']);
        builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
    }
    Ok(builder.build())
}

/// Whether the mail server can be reached and lets us in.
pub(crate) fn reach(mail: &Mail) -> Result<(), String> {
    match transport(mail)?.test_connection() {
        Ok(true) => Ok(()),
        Ok(false) => Err("it does not answer as a mail server does".into()),
        Err(error) => Err(told(&error)),
    }
}
