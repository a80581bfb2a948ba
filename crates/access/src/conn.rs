//! One task serves one connection from its seat to its end.
//!
//! All that can happen is looked at in one poll: messages that the dialect has worked on, bytes to
//! be written, bytes to be read, commands that wait, and time. Nothing is spawned and nothing is
//! buffered while the connection is idle.

use crate::{
    client::Client,
    commands::{self, Errand},
    door::Gate,
    farewell::Admitted,
    handout::{Answer, hand_out},
    hello::{Line, disconnect},
    listen::{Duplex, Hold},
    memory::{FREE, Share},
    router::{Kept, Router, Seated, granted},
    seat::{Closing, Outgoing, Seat},
    stream::poll_fill,
    will::{Vow, Waiting, Who},
};
use bytes::{Buf, BytesMut};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesOrdered};
use hub::edge::{Dialect, Inbound, Profile, Session, Uplink, Verb};
use model::{error::Fault, port::CloseReason};
use std::{
    collections::HashSet,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::{debug, warn};
use wire::mqtt::{
    Disconnect, Effect, KeepAlive, Millis, Packet, Publish, QoS, ReasonCode, Subscribe, Ticket,
    Version,
};

/// How long messages that were taken may go on after their connection has ended.
const AFTERMATH: Duration = Duration::from_secs(5);
/// How far a timer is set when nothing is to be expected.
const FAR: Duration = Duration::from_secs(24 * 60 * 60);

/// A message that the dialect is done with.
struct Done {
    ticket: Option<Ticket>,
    publish: Publish,
    result: Result<Uplink, Fault>,
}

impl Done {
    /// A message that means nothing to us: it goes to those who subscribe.
    fn as_it_is(publish: Publish, ticket: Option<Ticket>) -> Self {
        let result = Ok(Uplink {
            replies: Vec::new(),
            fan_out: true,
            came: false,
        });
        Self {
            ticket,
            publish,
            result,
        }
    }
}

type Work = BoxFuture<'static, Done>;

/// A connection of a client that has a seat.
pub(crate) struct Conn<S> {
    gate: Arc<Gate>,
    line: Line<S>,
    seat: Arc<Seat>,
    router: Arc<Router>,
    client: Client,
    /// The device's session in the hub; a guest has none.
    admitted: Option<Admitted>,
    profile: Profile,
    version: Version,
    /// Taken from the seat, and not yet written.
    writing: BytesMut,
    unflushed: bool,
    /// Messages that the dialect works on, in order of arrival. There only while there are any.
    working: Option<Box<FuturesOrdered<Work>>>,
    /// Bytes of payload of those messages.
    work_bytes: usize,
    /// What all this holds, for the sum over all connections.
    share: Share,
    /// Since when a long packet is half there.
    half: Option<Millis>,
    /// Hands over commands; there only while it does.
    commands: Option<BoxFuture<'static, ()>>,
    commands_again: Option<Errand>,
    /// The device has commands that are to be marked so once its answers are worked on, as those
    /// end most of them.
    commands_taken: bool,
    /// Commands may have been written whose bytes are not known to have left.
    commands_given: bool,
    keep_alive: KeepAlive,
    /// Since when the client has read nothing of what waits.
    stalled: Option<Millis>,
    timer: Pin<Box<Sleep>>,
    vow: Option<Arc<Vow>>,
}

/// Who came in, and on what terms.
pub(crate) struct Entered {
    pub(crate) client: Client,
    pub(crate) admitted: Option<Admitted>,
    pub(crate) profile: Profile,
    /// Seconds.
    pub(crate) keep_alive: u16,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client said so.
    Left,
    /// The socket is gone.
    Gone,
    /// The client sends nothing any more, and may still read.
    Hung,
    /// Nothing came for one and a half keep-alive intervals.
    Silent,
    /// The client does not read.
    Stalled,
    /// The client left a long packet half sent.
    Half,
    /// All clients together hold too much, and this one would hold more.
    TooMuch,
    /// The client broke the protocol.
    Broken(ReasonCode),
    /// It may not do what it did.
    NotAllowed,
    /// We could not do what it asked.
    Failed,
    /// The server says so.
    Told(CloseReason),
}

impl End {
    /// For the journal of the device.
    fn reason(self) -> &'static str {
        match self {
            Self::Left => "the device disconnected",
            Self::Gone | Self::Hung => "the connection was lost",
            Self::Silent => "the device was silent for too long",
            Self::Stalled => "the device did not read",
            Self::Half => "the device left a message half sent",
            Self::TooMuch => "the server had no memory left for a message",
            Self::Broken(_) => "the device broke the protocol",
            Self::NotAllowed => "the device published without a right to",
            Self::Failed => "the server could not store a message",
            Self::Told(reason) => told(reason),
        }
    }

    /// What MQTT 5 clients are told (MQTT 5 §3.14.2.1).
    fn code(self) -> Option<ReasonCode> {
        match self {
            Self::Left | Self::Gone | Self::Hung | Self::Stalled => None,
            Self::Silent | Self::Half => Some(ReasonCode::KeepAliveTimeout),
            Self::TooMuch => Some(ReasonCode::QuotaExceeded),
            Self::Broken(reason) => Some(reason),
            Self::NotAllowed => Some(ReasonCode::NotAuthorized),
            Self::Failed => Some(ReasonCode::UnspecifiedError),
            Self::Told(CloseReason::TakenOver) => Some(ReasonCode::SessionTakenOver),
            Self::Told(CloseReason::Stopping) => Some(ReasonCode::ServerShuttingDown),
            Self::Told(
                CloseReason::Disabled
                | CloseReason::Deleted
                | CloseReason::CredentialReset
                | CloseReason::Unbound,
            ) => Some(ReasonCode::AdministrativeAction),
        }
    }
}

/// Why the server ends a session, for the journal of the device.
pub(crate) fn told(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::TakenOver => "the device connected again",
        CloseReason::Disabled => "the device was disabled",
        CloseReason::Deleted => "the device was deleted",
        CloseReason::CredentialReset => "the credential was reset",
        CloseReason::Unbound => "the device was unbound from its gateway",
        CloseReason::Stopping => "the server stops",
    }
}

impl From<Closing> for End {
    fn from(closing: Closing) -> Self {
        match closing {
            Closing::Told(reason) => Self::Told(reason),
            Closing::Slow => Self::Stalled,
            Closing::Broken(reason) => Self::Broken(reason),
            Closing::Failed => Self::Failed,
        }
    }
}

/// Serves a connection to its end. Not an `async fn`, which would reserve the room of a connection
/// twice, and the room that its end needs, for as long as it is idle.
pub(crate) struct Serving<S> {
    open: Option<(Conn<S>, Hold)>,
    ending: Option<BoxFuture<'static, ()>>,
}

impl<S: Duplex + 'static> Serving<S> {
    pub(crate) fn new(conn: Conn<S>, hold: Hold) -> Self {
        Self {
            open: Some((conn, hold)),
            ending: None,
        }
    }
}

impl<S: Duplex + 'static> Future for Serving<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some((conn, _)) = &mut this.open {
            let end = ready!(conn.poll(cx));
            this.ending = this
                .open
                .take()
                .map(|(conn, hold)| -> BoxFuture<'static, ()> {
                    Box::pin(async move {
                        conn.end(end, &hold).await;
                        drop(hold);
                    })
                });
        }
        this.ending
            .as_mut()
            .map_or(Poll::Ready(()), |ending| ending.as_mut().poll(cx))
    }
}

impl<S: Duplex> Conn<S> {
    pub(crate) fn new(
        gate: Arc<Gate>,
        router: Arc<Router>,
        line: Line<S>,
        seated: Seated,
        entered: Entered,
        version: Version,
    ) -> Self {
        let Entered {
            client,
            admitted,
            profile,
            keep_alive,
        } = entered;
        let keep_alive = KeepAlive::new(keep_alive, router.now());
        let mut conn = Self {
            router,
            client,
            admitted,
            seat: seated.seat,
            line,
            profile,
            version,
            writing: BytesMut::new(),
            unflushed: false,
            working: None,
            work_bytes: 0,
            share: gate.memory.share(),
            half: None,
            commands: None,
            commands_again: None,
            commands_taken: false,
            commands_given: false,
            keep_alive,
            stalled: None,
            timer: Box::pin(sleep(FAR)),
            vow: seated.vow,
            gate,
        };
        conn.set_timer();
        if seated.present || seated.implicit {
            conn.see_to_commands(Errand::Look);
        }
        conn
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        match self.advance(cx) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }

    /// Does all that can be done now.
    fn advance(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let worked = self.poll_work(cx)?;
            let (held, clogged) = (!self.may_take(), self.is_clogged());
            let read = self.poll_input(cx)?;
            self.poll_output(cx)?;
            self.poll_commands(cx);
            let freed = held && self.may_take() || clogged && !self.is_clogged();
            if !(worked || read || freed) {
                self.account()?;
                return self.poll_timer(cx);
            }
        }
    }

    /// Notes what this connection holds. Where all hold too much, whoever waits for nothing of ours
    /// to become free cannot be helped but by its end.
    fn account(&mut self) -> Result<(), End> {
        let input = self.line.input.capacity();
        self.share
            .hold(input + self.writing.capacity() + self.work_bytes);
        if self.share.is_too_much() && self.working.is_none() {
            self.gate.desk.dropped("no memory", 1);
            return Err(End::TooMuch);
        }
        if self.line.input.len() <= FREE || self.working.is_some() {
            self.half = None;
        } else if self.half.is_none() {
            self.half = Some(self.router.now());
            self.set_timer();
        }
        Ok(())
    }

    /// Whether another packet of the client may be taken. If not, it stays on the line: TCP tells
    /// the client to slow down.
    fn may_take(&self) -> bool {
        let working = self.working.as_ref().map_or(0, |working| working.len());
        let waits = working > 0 && self.share.is_too_much();
        working < self.gate.bounds.window && !waits && !self.seat.is_full(self.client.id())
    }

    /// Whether so much waits for the client that a further answer to it would be dropped.
    fn is_clogged(&self) -> bool {
        self.seat.is_clogged(self.client.id())
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        while self.may_take() {
            let Line {
                stream,
                decoder,
                input,
            } = &mut self.line;
            match decoder.decode(input) {
                Ok(Some(packet)) => {
                    progress = true;
                    self.take(packet, cx)?;
                    continue;
                }
                Ok(None) => {}
                Err(error) => return Err(End::Broken(error.reason())),
            }
            if input.is_empty() {
                // Lets go of the memory until something arrives.
                *input = BytesMut::new();
            }
            match poll_fill(stream, cx, input) {
                Poll::Ready(Ok(0)) => return Err(End::Hung),
                Poll::Ready(Ok(_)) => progress = true,
                Poll::Ready(Err(error)) => {
                    debug!(client = %self.client, %error, "connection lost");
                    // A frame that is no MQTT is the client's doing.
                    return Err(match error.kind() {
                        std::io::ErrorKind::InvalidData => End::Broken(ReasonCode::ProtocolError),
                        _ => End::Gone,
                    });
                }
                Poll::Pending => break,
            }
        }
        if progress {
            self.keep_alive.heard(self.router.now());
            self.half = None;
        }
        Ok(progress)
    }

    fn take(&mut self, packet: Packet, cx: &mut Context<'_>) -> Result<(), End> {
        if let Packet::Publish(publish) = &packet {
            let extra = publish.qos == QoS::ExactlyOnce || publish.retain;
            let none = extra && !self.client.extras(&publish.topic);
            if publish.qos.bits() > self.profile.qos || none && publish.qos == QoS::ExactlyOnce {
                return Err(End::Broken(ReasonCode::QoSNotSupported));
            }
            if publish.retain && (none || !self.profile.retain) {
                return Err(End::Broken(ReasonCode::RetainNotSupported));
            }
        }
        let now = self.router.now();
        let seat = self.seat.clone();
        // What a device sends waits for its dialect, and is handed out in order by `working`.
        let alone =
            matches!(packet, Packet::Publish(_)) && matches!(self.client, Client::Guest { .. });
        let _entrance = alone.then(|| seat.entrance());
        for effect in self.seat.receive(self.client.id(), packet, now) {
            match effect {
                Effect::Deliver(publish, ticket) => self.deliver(publish, ticket, cx)?,
                Effect::Subscribe(request) => self.subscribe(&request),
                Effect::Unsubscribe(request) => {
                    let id = self.client.id();
                    self.router.unsubscribe(&self.seat, id, &request);
                }
                Effect::Disconnected(disconnect) => return Err(self.left(&disconnect)),
                Effect::Auth(_) => return Err(End::Broken(ReasonCode::ProtocolError)),
                Effect::Close(reason) => return Err(End::Broken(reason)),
                // The seat has written these.
                Effect::Send(_) | Effect::Publish(_) | Effect::Note(_) => {}
            }
        }
        Ok(())
    }

    /// The client leaves; its will is void only if it leaves in order [MQTT-3.1.2-10].
    fn left(&mut self, disconnect: &Disconnect) -> End {
        if disconnect.reason == ReasonCode::Success {
            // Void, before anybody can take its connection for lost.
            if let Some(vow) = self.vow.take() {
                self.router.forget_vow(&vow);
            }
        }
        End::Left
    }

    fn deliver(
        &mut self,
        publish: Publish,
        ticket: Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        if !self.client.may(Verb::Publish, &publish.topic) {
            debug!(client = %self.client, topic = %publish.topic, "no right to publish");
            if !self.profile.lenient {
                return Err(End::NotAllowed);
            }
            self.gate.desk.dropped("unauthorised", 1);
            if let Some(ticket) = ticket {
                // Only MQTT 5 has a word for it.
                let reason = if self.version.is_v5() {
                    ReasonCode::NotAuthorized
                } else {
                    ReasonCode::Success
                };
                self.seat.acknowledge(ticket, reason, 0);
            }
            return Ok(());
        }
        self.gate.desk.up();
        let Client::Device { session, dialect } = &self.client else {
            return self.finish(Done::as_it_is(publish, ticket));
        };
        let size = publish.payload.len();
        let mut work = work(dialect, session, publish, ticket);
        if self.working.is_none() {
            match work.as_mut().poll(cx) {
                Poll::Ready(done) => return self.finish(done),
                Poll::Pending => {}
            }
        }
        self.work_bytes += size;
        self.working.get_or_insert_default().push_back(work);
        Ok(())
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<bool, End> {
        let mut progress = false;
        // Who asks for much at once, such as pieces of files, gets it as fast as it reads.
        while !self.is_clogged()
            && let Some(working) = &mut self.working
        {
            match working.poll_next_unpin(cx) {
                Poll::Ready(Some(done)) => {
                    progress = true;
                    self.work_bytes = self.work_bytes.saturating_sub(done.publish.payload.len());
                    self.finish(done)?;
                }
                Poll::Ready(None) => self.working = None,
                Poll::Pending => break,
            }
        }
        Ok(progress)
    }

    /// Acknowledges a message and hands out what came of it.
    fn finish(&mut self, done: Done) -> Result<(), End> {
        let uplink = match done.result {
            Ok(uplink) => uplink,
            Err(fault) => {
                warn!(client = %self.client, %fault, "a message was not stored");
                return Err(End::Failed);
            }
        };
        let answer = Answer {
            ticket: done.ticket,
            tells_of_others: self.version.is_v5() && matches!(self.client, Client::Guest { .. }),
            vow: None,
        };
        let came = uplink.came;
        hand_out(
            &self.gate,
            &self.router,
            &self.seat,
            answer,
            done.publish,
            uplink,
        );
        if came {
            self.see_to_commands(Errand::Look);
        }
        Ok(())
    }

    fn subscribe(&mut self, request: &Subscribe) {
        let most = QoS::from_bits(self.profile.qos).unwrap_or(QoS::ExactlyOnce);
        let terms = self.router.terms();
        let named = request.properties.subscription_identifier().is_some();
        let verdicts: Vec<_> = request
            .filters
            .iter()
            .map(|line| {
                let filter = line.filter.pattern();
                if named && !terms.identifiers {
                    ReasonCode::SubscriptionIdsNotSupported
                } else if line.filter.shared().is_some() && !terms.shared {
                    ReasonCode::SharedSubscriptionsNotSupported
                } else if line.filter.has_wildcard() && !terms.wildcards {
                    ReasonCode::WildcardSubscriptionsNotSupported
                } else if self.client.may(Verb::Subscribe, filter) {
                    granted(line.options.qos, most)
                } else {
                    debug!(client = %self.client, filter, "no right to subscribe");
                    ReasonCode::NotAuthorized
                }
            })
            .collect();
        let id = self.client.id();
        self.router.subscribe(&self.seat, id, request, &verdicts);
        if verdicts.iter().any(|verdict| !verdict.is_error()) {
            if let Client::Device { session, dialect } = &self.client {
                let filters = request.filters.iter();
                let riders = filters.filter_map(|line| {
                    let rider = dialect.rider(session, line.filter.pattern())?;
                    Some(rider.iot_id.clone())
                });
                for rider in riders.collect::<HashSet<_>>() {
                    self.gate.desk.rider_due(&rider);
                }
            }
            self.see_to_commands(Errand::Look);
        }
    }

    fn see_to_commands(&mut self, errand: Errand) {
        let Client::Device { session, dialect } = &self.client else {
            return;
        };
        if self.commands.is_some() {
            self.commands_again = self.commands_again.max(Some(errand));
        } else {
            self.commands_given |= errand == Errand::Look;
            self.commands = Some(Box::pin(commands::run(
                errand,
                self.gate.clone(),
                self.router.clone(),
                self.seat.clone(),
                session.clone(),
                dialect.clone(),
            )));
        }
    }

    fn poll_commands(&mut self, cx: &mut Context<'_>) {
        while let Some(commands) = &mut self.commands {
            if commands.as_mut().poll(cx).is_pending() {
                return;
            }
            self.commands = None;
            if let Some(errand) = self.commands_again.take() {
                self.see_to_commands(errand);
            }
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        loop {
            let busy = !self.writing.is_empty();
            match self.seat.poll(self.client.id(), busy, cx) {
                Poll::Ready(Outgoing::Bytes(bytes)) => self.writing = bytes,
                Poll::Ready(Outgoing::CommandsWait) => {
                    self.see_to_commands(Errand::Look);
                    continue;
                }
                Poll::Ready(Outgoing::CommandsTaken) => {
                    self.commands_taken = true;
                    continue;
                }
                Poll::Ready(Outgoing::Close(closing)) => return Err(closing.into()),
                Poll::Pending if !busy => break,
                Poll::Pending => {}
            }
            match Pin::new(&mut self.line.stream).poll_write(cx, &self.writing) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Err(End::Gone),
                Poll::Ready(Ok(size)) => {
                    self.writing.advance(size);
                    self.unflushed = true;
                    self.stalled = None;
                    if self.writing.is_empty() {
                        self.writing = BytesMut::new();
                    }
                }
                Poll::Pending => {
                    if self.stalled.is_none() {
                        self.stalled = Some(self.router.now());
                        self.set_timer();
                    }
                    return Ok(());
                }
            }
        }
        if self.unflushed {
            match Pin::new(&mut self.line.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(_)) => return Err(End::Gone),
                Poll::Pending => {}
            }
        }
        if self.commands_given && !self.unflushed {
            match self.seat.flushed(self.client.id()) {
                Some(true) => self.see_to_commands(Errand::Look),
                Some(false) => self.commands_given = self.commands.is_some(),
                None => {}
            }
        }
        if self.commands_taken && self.working.is_none() {
            self.commands_taken = false;
            self.see_to_commands(Errand::Mark);
        }
        Ok(())
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = self.router.now();
            if self
                .stall_deadline()
                .is_some_and(|deadline| now >= deadline)
            {
                return Err(End::Stalled);
            }
            if self.half_deadline().is_some_and(|deadline| now >= deadline) {
                return Err(End::Half);
            }
            if self.keep_alive.is_over(now) {
                if self.may_take() {
                    return Err(End::Silent);
                }
                // It is we who do not listen.
                self.keep_alive.heard(now);
            }
            self.set_timer();
        }
        Ok(())
    }

    fn stall_deadline(&self) -> Option<Millis> {
        self.stalled
            .map(|since| since.saturating_add(self.patience()))
    }

    fn half_deadline(&self) -> Option<Millis> {
        self.half.map(|since| since.saturating_add(self.patience()))
    }

    fn patience(&self) -> Millis {
        u64::try_from(self.gate.bounds.stall.as_millis()).unwrap_or(u64::MAX)
    }

    fn set_timer(&mut self) {
        let now = self.router.now();
        let next = [
            self.keep_alive.deadline(),
            self.stall_deadline(),
            self.half_deadline(),
        ];
        let wait = next.into_iter().flatten().min().map_or(FAR, |deadline| {
            // One more than what is left, as both clocks round down.
            Duration::from_millis(deadline.saturating_sub(now) + 1)
        });
        self.timer.as_mut().reset(Instant::now() + wait);
    }

    /// Leaves the seat, says goodbye, finishes what was begun, and ends the session.
    async fn end(mut self, end: End, hold: &Hold) {
        debug!(client = %self.client, reason = end.reason(), ?end, "connection ends");
        let forget = end == End::Told(CloseReason::Deleted);
        if let (End::Told(reason), Client::Device { session, dialect }) = (end, &self.client) {
            for outbound in dialect.farewell(session, reason) {
                let mut book = self.seat.turn();
                self.seat
                    .last_words(session.id, outbound, self.router.now(), &mut book);
            }
        }
        // What was answered before the end goes out before it: CONNACK above all, as no DISCONNECT
        // may come without it (MQTT 5 §3.14).
        if end != End::Gone {
            let _ = timeout(AFTERMATH, self.seat.settled(self.client.id())).await;
        }
        // Before another connection can look for what waits.
        if let Client::Device { session, .. } = &self.client {
            let mark = commands::mark(&self.gate, &self.seat, session);
            let _ = timeout(AFTERMATH, mark).await;
        }
        let mut words = std::mem::take(&mut self.writing);
        let (rest, greeted) = self.seat.rest(self.client.id());
        words.extend_from_slice(&rest);
        let kept = self.router.leave(&self.seat, self.client.id(), forget);
        if self.version.is_v5()
            && greeted
            && let Some(code) = end.code()
        {
            disconnect(code, &mut words);
        }
        let Self {
            gate,
            router,
            line,
            seat,
            client,
            admitted,
            working,
            vow,
            ..
        } = self;
        let part = async {
            if end != End::Gone && !(end == End::Hung && words.is_empty()) {
                line.part(&words).await;
            }
        };
        let finish = async {
            let after = aftermath(&gate, &router, &seat, &client, working);
            let _ = timeout(AFTERMATH, after).await;
            if let Some(vow) = vow {
                last_will(&gate, &router, &seat, &client, vow, kept, hold).await;
            }
            if let Some(admitted) = admitted {
                admitted.close(end.reason());
            }
        };
        tokio::join!(part, finish);
    }
}

/// One message on its way through the dialect.
fn work(
    dialect: &Arc<dyn Dialect>,
    session: &Arc<Session>,
    publish: Publish,
    ticket: Option<Ticket>,
) -> Work {
    let dialect = dialect.clone();
    let session = session.clone();
    Box::pin(async move {
        let inbound = Inbound {
            topic: publish.topic.to_string(),
            payload: publish.payload.clone(),
            qos: publish.qos.bits(),
        };
        let result = dialect.uplink(&session, inbound).await;
        Done {
            ticket,
            publish,
            result,
        }
    })
}

/// Lets messages that were taken come to their end.
async fn aftermath(
    gate: &Gate,
    router: &Router,
    seat: &Arc<Seat>,
    client: &Client,
    working: Option<Box<FuturesOrdered<Work>>>,
) {
    let mut working = working.unwrap_or_default();
    while let Some(done) = working.next().await {
        match done.result {
            Ok(uplink) => {
                let answer = Answer {
                    ticket: done.ticket,
                    ..Answer::NONE
                };
                hand_out(gate, router, seat, answer, done.publish, uplink);
            }
            Err(fault) => warn!(%client, %fault, "a message was not stored"),
        }
    }
}

/// Publishes the will of a client that did not leave in order (MQTT 3.1.1 §3.1.2.5), at once or
/// when its delay is over (MQTT 5 §3.1.3.2.2).
async fn last_will(
    gate: &Arc<Gate>,
    router: &Arc<Router>,
    seat: &Arc<Seat>,
    client: &Client,
    vow: Arc<Vow>,
    kept: Kept,
    hold: &Hold,
) {
    let void = vow.may_wait() && kept == Kept::TakenOver;
    if void || !client.may(Verb::Publish, &vow.promise.message.topic) {
        return router.forget_vow(&vow);
    }
    let who = || Who::Known(client.clone());
    let waiting = match vow.due(kept, router.now()) {
        Some(due) => match Waiting::for_return(router, seat, who(), &vow, due) {
            Some(waiting) => waiting,
            None => return,
        },
        None if vow.number == 0 || !router.is_troubled() => {
            return publish_will(gate, router, seat, client, &vow).await;
        }
        None => Waiting {
            router: router.clone(),
            seat: seat.clone(),
            who: who(),
            vow,
            due: 0,
            back: None,
        },
    };
    waiting.begin(gate.clone(), hold.alive().clone());
}

/// Publishes a will whose time has come.
pub(crate) async fn publish_will(
    gate: &Gate,
    router: &Router,
    seat: &Arc<Seat>,
    client: &Client,
    vow: &Vow,
) {
    let publish = vow.publish();
    let done = match client {
        Client::Device { session, dialect } => {
            match timeout(AFTERMATH, work(dialect, session, publish, None)).await {
                Ok(done) => done,
                Err(_) => {
                    warn!(%client, "a will was not stored in time");
                    return router.forget_vow(vow);
                }
            }
        }
        Client::Guest { .. } => Done::as_it_is(publish, None),
    };
    let answer = Answer {
        vow: Some(vow),
        ..Answer::NONE
    };
    match done.result {
        Ok(uplink) => hand_out(gate, router, seat, answer, done.publish, uplink),
        Err(fault) => {
            warn!(%client, %fault, "a will was not stored");
            router.forget_vow(vow);
        }
    }
}
