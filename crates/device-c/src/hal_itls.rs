//! `hal_itls.h`: a connection to a server that the ID2 proves and encrypts, with the names and results
//! of the vendor's header. For machines with an operating system; a port to another board drives
//! `device::itls`.
//!
//! A handle is a number and no pointer, so that one which was destroyed, or never was one, is refused.
//! Reading and writing on one handle may go on in two threads.

use crate::{
    boundary::{Refused, text},
    hal::{Holder, muster_hal_t},
    state,
};
use core::ffi::{c_char, c_int};
use credential::id2::otp::FINGERPRINT_MAX;
use device::{
    id2::{Client, ClientError, result},
    itls::{
        Alert, Board, HEAD, Head, Kind, MESSAGE_MAX, Next, OUT_MAX, Receiver, Said, Sender, Shake,
        ShakeError,
    },
};
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    slice, str,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// Longest host name (RFC 1035 section 2.3.4).
const HOST_MAX: usize = 255;
/// Longest product key.
const PRODUCT_MAX: usize = 64;
/// Seconds that hal_itls_establish waits.
const PATIENCE: u32 = 10;
/// How often id2_client_wrap_do_provisioning tries.
const TRIES: u32 = 3;
/// The least time for each try.
const TRY_MS: u32 = 2000;
/// How long the last word to a server may take.
const PARTING: Duration = Duration::from_secs(1);

/// The other end ended the connection.
const CLOSED: i32 = -1;
/// The connection broke, or there is none.
const BROKEN: i32 = -2;

/// The last alert that a server sent.
static ALERT: AtomicU32 = AtomicU32::new(0);
static SESSIONS: Mutex<Sessions> = Mutex::new(Sessions {
    last: 0,
    open: BTreeMap::new(),
});

struct Sessions {
    last: usize,
    open: BTreeMap<usize, Arc<Session>>,
}

struct Session {
    tcp: TcpStream,
    reader: Mutex<Reader>,
    writer: Mutex<Writer>,
}

struct Reader {
    receiver: Receiver,
    /// The record that is coming, or whose text is being read.
    record: Vec<u8>,
    text: Range<usize>,
    /// Why there is no more.
    ended: Option<i32>,
}

struct Writer {
    sender: Sender,
    /// A record on its way out, and how much of it is gone.
    out: Vec<u8>,
    gone: usize,
    broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the body of a function that C called. A panic must not run into C's frames.
fn caught<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(otherwise)
}

/// The version of this library.
///
/// @param[out] version 16 bytes; the text ends with NUL.
///
/// # Safety
/// A pointer that is not null points to 16 bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hal_itls_get_version(version: *mut c_char) {
    if version.is_null() {
        return;
    }
    // SAFETY: the caller's promise.
    let out = unsafe {
        version.write_bytes(0, 16);
        slice::from_raw_parts_mut(version.cast::<u8>(), 16)
    };
    let text = env!("CARGO_PKG_VERSION").as_bytes();
    let len = text.len().min(15);
    out[..len].copy_from_slice(&text[..len]);
}

/// Does nothing: this library prints nothing. Here for programs that call it.
///
/// @param[in] debug_level
#[unsafe(no_mangle)]
pub extern "C" fn hal_itls_set_debug_level(debug_level: u32) {
    let _ = debug_level;
}

/// Opens a connection, within 10 seconds. See hal_itls_establish_timeout.
///
/// @param[in] host           a name or an address, and a NUL.
/// @param[in] port           of the server's iTLS listener.
/// @param[in] product_key    at most 64 characters and a NUL.
/// @param[in] product_secret the product's token: 32 characters and a NUL.
///
/// @return the handle; 0 when there is no connection.
///
/// # Safety
/// Pointers that are not null point to texts that end with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hal_itls_establish(
    host: *const c_char,
    port: u32,
    product_key: *const c_char,
    product_secret: *const c_char,
) -> usize {
    // SAFETY: the caller's promise.
    unsafe { hal_itls_establish_timeout(host, port, product_key, product_secret, PATIENCE) }
}

/// Opens a connection and proves to the server who this device is, and to the device that the server
/// knows its key. A device without an ID2 is given one first, and keeps it. Starts the client
/// (id2_client_init) if it does not run.
///
/// @param[in] host           a name or an address, and a NUL.
/// @param[in] port           of the server's iTLS listener.
/// @param[in] product_key    at most 64 characters and a NUL.
/// @param[in] product_secret the product's token: 32 characters and a NUL; read by a device without an
/// ID2 alone.
/// @param[in] timeout        seconds.
///
/// @return the handle; 0 when there is no connection, and then hal_itls_get_alert_type may say why.
///
/// # Safety
/// Pointers that are not null point to texts that end with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hal_itls_establish_timeout(
    host: *const c_char,
    port: u32,
    product_key: *const c_char,
    product_secret: *const c_char,
    timeout: u32,
) -> usize {
    caught(0, || {
        ALERT.store(0, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        let place = unsafe { Place::read(host, port, product_key, product_secret) };
        let Ok(place) = place else { return 0 };
        if crate::id2_client::id2_client_init() != result::SUCCESS {
            return 0;
        }
        let until = Instant::now() + Duration::from_secs(timeout.into());
        let session = resolve(&[place.host], place.port)
            .and_then(|to| shake(&to, &place, until, Goal::Connection));
        let Ok(Some(session)) = session else { return 0 };
        let mut sessions = lock(&SESSIONS);
        sessions.last += 1;
        let handle = sessions.last;
        sessions.open.insert(handle, Arc::new(session));
        handle
    })
}

/// The number of the last alert that a server sent since a connection was last opened; 0 for none.
///
/// 161 no quota, 162 no such ID2, 163 wrong auth code, 164 not activated, 165 timestamp expired, 166
/// wrong challenge, 167 not supported, 168 suspended, 169 discarded, 170 of another product, 171 and
/// 172 product key, 173 busy, 174 and 175 fingerprint, 176 server random, 177 hash, 178 key type, 160
/// anything else; below 160 those of TLS.
///
/// @return the number.
#[unsafe(no_mangle)]
pub extern "C" fn hal_itls_get_alert_type() -> u32 {
    ALERT.load(Ordering::Relaxed)
}

/// Tells the server good-bye and closes.
///
/// @param[in] handle
///
/// @return 0, also for a handle that is none.
#[unsafe(no_mangle)]
pub extern "C" fn hal_itls_destroy(handle: usize) -> i32 {
    caught(0, || {
        let session = lock(&SESSIONS).open.remove(&handle);
        if let Some(session) = session {
            session.tell(Alert::CloseNotify);
            let _ = session.tcp.shutdown(std::net::Shutdown::Both);
        }
        0
    })
}

/// Sends data.
///
/// @param[in] handle
/// @param[in] buf
/// @param[in] len
/// @param[in] timeout_ms
///
/// @return how many bytes were taken, which are sent before those of the next call; 0 when none was
/// in this time; less than 0 when the connection broke.
///
/// # Safety
/// A pointer that is not null points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hal_itls_write(
    handle: usize,
    buf: *const c_char,
    len: c_int,
    timeout_ms: c_int,
) -> i32 {
    caught(BROKEN, || {
        let (Some(session), Ok(len), false) =
            (session(handle), usize::try_from(len), buf.is_null())
        else {
            return BROKEN;
        };
        // SAFETY: the caller's promise.
        let bytes = unsafe { slice::from_raw_parts(buf.cast::<u8>(), len) };
        session.write(bytes, until(timeout_ms))
    })
}

/// Waits for data.
///
/// @param[in]  handle
/// @param[out] buf
/// @param[in]  len        so many bytes are waited for.
/// @param[in]  timeout_ms
///
/// @return how many bytes came in this time; -1 when the server has closed, -2 when the connection
/// broke.
///
/// # Safety
/// A pointer that is not null points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn hal_itls_read(
    handle: usize,
    buf: *mut c_char,
    len: c_int,
    timeout_ms: c_int,
) -> i32 {
    caught(BROKEN, || {
        let (Some(session), Ok(len)) = (session(handle), usize::try_from(len)) else {
            return BROKEN;
        };
        // SAFETY: the caller's promise.
        let Ok(out) = (unsafe { crate::boundary::room(buf.cast::<u8>(), len) }) else {
            return BROKEN;
        };
        session.read(out, until(timeout_ms))
    })
}

fn session(handle: usize) -> Option<Arc<Session>> {
    lock(&SESSIONS).open.get(&handle).cloned()
}

fn until(timeout_ms: c_int) -> Instant {
    Instant::now() + Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// What C says of where to connect, and as what.
struct Place<'a> {
    host: &'a str,
    port: u16,
    product: &'a [u8],
    token: &'a [u8],
}

impl Place<'_> {
    /// # Safety
    /// Pointers that are not null point to texts that end with NUL.
    unsafe fn read<'a>(
        host: *const c_char,
        port: u32,
        product: *const c_char,
        token: *const c_char,
    ) -> Result<Place<'a>, Refused> {
        let wrong = result::BAD_PARAMETERS;
        // SAFETY: the caller's promise.
        let (host, product, token) = unsafe {
            (
                text(host, HOST_MAX, wrong)?,
                text(product, PRODUCT_MAX, wrong)?,
                text(token, PRODUCT_MAX, wrong)?,
            )
        };
        Ok(Place {
            host: str::from_utf8(host).map_err(|_| wrong)?,
            port: u16::try_from(port).map_err(|_| wrong)?,
            product,
            token,
        })
    }
}

/// What a handshake is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Goal {
    Connection,
    /// To have an identity.
    Identity,
}

/// Why there is no connection.
enum Failed {
    Io(io::Error),
    Shake(ShakeError),
}

impl Failed {
    fn code(&self) -> i32 {
        match self {
            Failed::Io(error) if is_timeout(error) => result::TIMEOUT,
            Failed::Io(_) => result::COMMUNICATION,
            Failed::Shake(ShakeError::Id2(error)) => error.code(),
            Failed::Shake(ShakeError::Board(code)) => *code,
            Failed::Shake(ShakeError::Alert(_) | ShakeError::Told(_)) => result::GENERIC,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Failed::Io(error)
    }
}

impl From<ShakeError> for Failed {
    fn from(error: ShakeError) -> Self {
        Failed::Shake(error)
    }
}

impl From<Alert> for Failed {
    fn from(alert: Alert) -> Self {
        Failed::Shake(alert.into())
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

impl Board for muster_hal_t {
    fn random(&mut self, out: &mut [u8]) -> Result<(), i32> {
        let random = self.random.ok_or(result::NOT_IMPLEMENTED)?;
        let len = u32::try_from(out.len()).map_err(|_| result::GENERIC)?;
        // SAFETY: the port promised to write so many bytes.
        match unsafe { random(self.context, out.as_mut_ptr(), len) } {
            result::SUCCESS => Ok(()),
            code => Err(code),
        }
    }

    fn fingerprint(&mut self, out: &mut [u8; FINGERPRINT_MAX]) -> Result<usize, i32> {
        let (bytes, len) = muster_hal_t::fingerprint(self)?;
        *out = bytes;
        Ok(len)
    }
}

/// One step of the client; the lock is not held while a server is waited for.
fn step<T>(
    body: impl FnOnce(&mut Client<Holder>, &mut muster_hal_t) -> Result<T, ShakeError>,
) -> Result<T, ShakeError> {
    let mut done = Err(ShakeError::Id2(ClientError::Order));
    let locked = state::with(|state| {
        let mut hal = state.hal()?;
        done = body(state.client()?, &mut hal);
        Ok(())
    });
    locked.map_err(ShakeError::Board)?;
    done
}

/// 16 random bytes of the board.
fn vector() -> Result<[u8; 16], i32> {
    let mut hal = state::with(|state| state.hal())?;
    let mut vector = [0; 16];
    Board::random(&mut hal, &mut vector)?;
    Ok(vector)
}

/// The addresses of the first name that has some.
fn resolve(names: &[&str], port: u16) -> Result<Vec<SocketAddr>, i32> {
    names
        .iter()
        .filter_map(|name| (*name, port).to_socket_addrs().ok())
        .map(Iterator::collect::<Vec<_>>)
        .find(|found| !found.is_empty())
        .ok_or(result::COMMUNICATION)
}

fn left(until: Instant) -> Option<Duration> {
    until
        .checked_duration_since(Instant::now())
        .filter(|left| *left >= Duration::from_millis(1))
}

fn connect(to: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::TimedOut);
    for address in to {
        let left = left(until).ok_or(ErrorKind::TimedOut)?;
        match TcpStream::connect_timeout(address, left) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn read_exact(mut tcp: &TcpStream, mut out: &mut [u8], until: Instant) -> io::Result<()> {
    while !out.is_empty() {
        tcp.set_read_timeout(Some(left(until).ok_or(ErrorKind::TimedOut)?))?;
        match tcp.read(out) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(size) => out = &mut out[size..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// How many of the bytes were sent in time.
fn write_some(mut tcp: &TcpStream, bytes: &[u8], until: Instant) -> io::Result<usize> {
    let mut gone = 0;
    while gone < bytes.len() {
        let Some(left) = left(until) else { break };
        tcp.set_write_timeout(Some(left))?;
        match tcp.write(&bytes[gone..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(size) => gone += size,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(gone)
}

fn write_all(tcp: &TcpStream, bytes: &[u8], until: Instant) -> io::Result<()> {
    match write_some(tcp, bytes, until)? == bytes.len() {
        true => Ok(()),
        false => Err(ErrorKind::TimedOut.into()),
    }
}

/// A handshake; no session when an identity was all that was wanted.
fn shake(
    to: &[SocketAddr],
    place: &Place<'_>,
    until: Instant,
    goal: Goal,
) -> Result<Option<Session>, i32> {
    let tcp = connect(to, until).map_err(|error| Failed::Io(error).code())?;
    let shake = Shake::new(place.product, place.token);
    let mut shake = shake.map_err(|_| result::BAD_PARAMETERS)?;
    match shaken(&tcp, &mut shake, until, goal) {
        Ok(false) => Ok(None),
        Ok(true) => {
            let (sender, receiver) = shake.ends().ok_or(result::GENERIC)?;
            Ok(Some(Session {
                tcp,
                reader: Mutex::new(Reader {
                    receiver,
                    record: Vec::new(),
                    text: 0..0,
                    ended: None,
                }),
                writer: Mutex::new(Writer {
                    sender,
                    out: Vec::new(),
                    gone: 0,
                    broken: false,
                }),
            }))
        }
        Err(failed) => {
            match failed {
                Failed::Shake(ShakeError::Told(alert)) => heard(alert),
                Failed::Shake(error) => {
                    let mut out = [0; OUT_MAX];
                    let words = step(|_, hal| shake.refuse(error, hal, &mut out));
                    let until = Instant::now() + PARTING;
                    let _ = words.map(|len| write_some(&tcp, &out[..len], until));
                }
                Failed::Io(_) => {}
            }
            Err(failed.code())
        }
    }
}

/// Whether there is a connection; otherwise there is an identity, which was all that was wanted.
fn shaken(
    tcp: &TcpStream,
    shake: &mut Shake<'_>,
    until: Instant,
    goal: Goal,
) -> Result<bool, Failed> {
    let mut out = [0; OUT_MAX];
    let mut body = [0; MESSAGE_MAX];
    let len = step(|id2, hal| shake.begin(id2, hal, &mut out))?;
    write_all(tcp, &out[..len], until)?;
    loop {
        let mut head = [0; HEAD];
        read_exact(tcp, &mut head, until)?;
        let head = Head::read(head)?;
        let body = body.get_mut(..head.len).ok_or(Alert::RecordOverflow)?;
        read_exact(tcp, body, until)?;
        let next = step(|id2, hal| shake.take(id2, hal, (head.kind, body), &mut out))?;
        let len = match next {
            Next::More => continue,
            Next::Send(len) => len,
            Next::Done => return Ok(true),
            Next::Provisioned if goal == Goal::Identity => return Ok(false),
            Next::Provisioned => step(|id2, hal| shake.begin(id2, hal, &mut out))?,
        };
        write_all(tcp, &out[..len], until)?;
    }
}

fn heard(alert: Alert) {
    ALERT.store(alert.number().into(), Ordering::Relaxed);
}

impl Session {
    fn read(&self, out: &mut [u8], until: Instant) -> i32 {
        let mut reader = lock(&self.reader);
        let mut got = 0;
        loop {
            if !reader.text.is_empty() {
                let size = reader.text.len().min(out.len() - got);
                let from = reader.text.start;
                out[got..got + size].copy_from_slice(&reader.record[from..from + size]);
                reader.text.start += size;
                got += size;
                if reader.text.is_empty() {
                    reader.record = Vec::new();
                }
            }
            let told = i32::try_from(got).unwrap_or(i32::MAX);
            if got == out.len() {
                return told;
            }
            if let Some(code) = reader.ended {
                return if got > 0 { told } else { code };
            }
            match reader.fill(&self.tcp, until) {
                Ok(()) => {}
                Err(Failed::Io(error)) if is_timeout(&error) => return told,
                Err(Failed::Io(error)) => {
                    let closed = error.kind() == ErrorKind::UnexpectedEof;
                    reader.ended = Some(if closed { CLOSED } else { BROKEN });
                }
                Err(Failed::Shake(ShakeError::Told(alert))) => {
                    heard(alert);
                    let closed = alert == Alert::CloseNotify;
                    reader.ended = Some(if closed { CLOSED } else { BROKEN });
                }
                Err(Failed::Shake(error)) => {
                    reader.ended = Some(BROKEN);
                    if let ShakeError::Alert(alert) = error {
                        self.tell(alert);
                    }
                }
            }
        }
    }

    fn write(&self, bytes: &[u8], until: Instant) -> i32 {
        let mut writer = lock(&self.writer);
        let mut taken = 0;
        loop {
            match writer.flush(&self.tcp, until) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return BROKEN,
            }
            if taken == bytes.len() {
                break;
            }
            let size = (bytes.len() - taken).min(MESSAGE_MAX);
            let piece = &bytes[taken..taken + size];
            if writer.seal(Kind::Data, piece).is_err() {
                return BROKEN;
            }
            taken += size;
        }
        i32::try_from(taken).unwrap_or(i32::MAX)
    }

    /// The last word to the server, if it can be said at once.
    fn tell(&self, alert: Alert) {
        let mut writer = lock(&self.writer);
        let until = Instant::now() + PARTING;
        if let Ok(true) = writer.flush(&self.tcp, until)
            && writer.seal(Kind::Alert, &alert.bytes()).is_ok()
        {
            let _ = writer.flush(&self.tcp, until);
        }
        writer.broken = true;
    }
}

impl Reader {
    /// Takes the next record.
    fn fill(&mut self, tcp: &TcpStream, until: Instant) -> Result<(), Failed> {
        self.more(tcp, HEAD, until)?;
        let head: [u8; HEAD] = self.record[..HEAD].try_into().unwrap_or_default();
        let head = Head::read(head)?;
        self.more(tcp, HEAD + head.len, until)?;
        let said = self.receiver.take(head.kind, &mut self.record[HEAD..])?;
        match said {
            Said::Data { from, to } => self.text = HEAD + from..HEAD + to,
            Said::Nothing => self.record.clear(),
            Said::End(alert) => return Err(ShakeError::Told(alert).into()),
        }
        Ok(())
    }

    /// Reads until `record` has so many bytes; what came in time stays.
    fn more(&mut self, mut tcp: &TcpStream, need: usize, until: Instant) -> io::Result<()> {
        while self.record.len() < need {
            tcp.set_read_timeout(Some(left(until).ok_or(ErrorKind::TimedOut)?))?;
            let mut piece = [0; 1024];
            let most = (need - self.record.len()).min(piece.len());
            match tcp.read(&mut piece[..most]) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(size) => self.record.extend_from_slice(&piece[..size]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Writer {
    fn seal(&mut self, kind: Kind, text: &[u8]) -> Result<(), i32> {
        let vector = vector()?;
        let mut out = vec![0; Sender::sealed_len(text.len())];
        let sealed = self.sender.seal(kind, text, &vector, &mut out);
        sealed.map_err(|_| result::GENERIC)?;
        (self.out, self.gone) = (out, 0);
        Ok(())
    }

    /// Whether everything is sent.
    fn flush(&mut self, tcp: &TcpStream, until: Instant) -> io::Result<bool> {
        if self.broken {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let sent = write_some(tcp, &self.out[self.gone..], until);
        self.broken = sent.is_err();
        self.gone += sent?;
        if self.gone < self.out.len() {
            return Ok(false);
        }
        (self.out, self.gone) = (Vec::new(), 0);
        Ok(true)
    }
}

/// `id2_client_wrap_do_provisioning`, of a client that runs.
///
/// # Errors
/// Its result.
///
/// # Safety
/// Pointers that are not null point to texts that end with NUL.
pub(crate) unsafe fn provision(
    host: *const c_char,
    port: u32,
    product_key: *const c_char,
    product_secret: *const c_char,
    timeout_ms: u32,
) -> Result<(), Refused> {
    ALERT.store(0, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let place = unsafe { Place::read(host, port, product_key, product_secret) }?;
    let provisioned = step(|id2, _| Ok(id2.is_provisioned()?));
    if provisioned.map_err(|error| Failed::Shake(error).code())? {
        return Ok(());
    }
    let product = str::from_utf8(place.product).map_err(|_| result::BAD_PARAMETERS)?;
    let longer = format!("{product}.{}", place.host);
    let names = [longer.as_str(), place.host];
    let names = match place.host.parse::<IpAddr>() {
        Ok(_) => &names[1..],
        Err(_) => &names[..],
    };
    let time = Duration::from_millis(timeout_ms.max(TRY_MS).into());
    let mut tries = 1;
    loop {
        let done = resolve(names, place.port)
            .and_then(|to| shake(&to, &place, Instant::now() + time, Goal::Identity));
        match done {
            Ok(_) => return Ok(()),
            Err(result::COMMUNICATION | result::TIMEOUT) if tries < TRIES => tries += 1,
            Err(code) => return Err(code),
        }
    }
}
