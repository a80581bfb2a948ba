//! The messages of the handshake: read within bounds, written into the caller's place.

use crate::{Alert, record::VERSION};
use core::str;
use credential::id2::{ID_LEN, Id};

/// Longest message: a hello with the code of an RSA key has less than 600 bytes, a server's 700.
pub const MESSAGE_MAX: usize = 1024;
/// Bytes before a message's body.
pub(crate) const HEAD: usize = 4;
/// Longest product key.
pub const PRODUCT_MAX: usize = 64;
/// Longest code of a device: that of a key of RSA-2048 has 398 characters, one in the form "99" more.
pub const CODE_MAX: usize = 640;
/// Characters of a challenge.
pub const CHALLENGE: usize = 32;
/// Bytes of a random.
pub const RANDOM: usize = 32;
/// What stands for the identity of a device that has none (wire §1.1).
const NOBODY: [u8; ID_LEN] = [b'F'; ID_LEN];
/// The group of keys that devices name, in the order of their bytes on the wire.
const GROUP: [u8; 4] = [0x00, 0x10, 0x00, 0x10];
/// What both ends call themselves.
const EDITION: [u8; 4] = [0x00, 0x02, 0x01, 0x00];

const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
const HELLO_VERIFY_REQUEST: u8 = 3;
pub(crate) const FINISHED: u8 = 20;

const MAX_FRAGMENT_LENGTH: u16 = 0x0001;
const AUTH_EXTRA: u16 = 0x2000;
const KEY_ID: u16 = 0x2001;
const AUTH_CODE: u16 = 0x2002;
const PRE_MASTER_SECRET: u16 = 0x2003;
const SRV_CHALLENGE: u16 = 0x2010;
const KEY_OTP_DATA: u16 = 0x2011;
const EXTENDED_VERSION: u16 = 0x2020;

/// A cipher suite that is spoken. The two with SHA-1 are not: the vendor's client refuses them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// 0xD003: AES-128-CBC and SHA-256.
    Aes128,
    /// 0xD004: AES-256-CBC and SHA-256.
    Aes256,
}

impl Suite {
    fn number(self) -> u16 {
        match self {
            Suite::Aes128 => 0xd003,
            Suite::Aes256 => 0xd004,
        }
    }

    pub(crate) fn key_len(self) -> usize {
        match self {
            Suite::Aes128 => 16,
            Suite::Aes256 => 32,
        }
    }
}

/// What a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suites {
    /// AES-256, else AES-128.
    Both,
    /// One alone.
    Only(Suite),
}

impl Suites {
    fn take(self, suite: Suite) -> bool {
        match self {
            Suites::Both => true,
            Suites::Only(only) => only == suite,
        }
    }
}

/// Bytes that are taken one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8], Alert> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Alert::DecodeError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], Alert> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Alert::DecodeError)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Alert> {
        self.array::<1>().map(|[byte]| *byte)
    }

    fn u16(&mut self) -> Result<u16, Alert> {
        self.array().map(|bytes| u16::from_be_bytes(*bytes))
    }

    /// As many bytes as two bytes before them say.
    fn part(&mut self) -> Result<&'a [u8], Alert> {
        let len = self.u16()?;
        self.bytes(len.into())
    }

    fn end(&self) -> Result<(), Alert> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Alert::DecodeError)
        }
    }
}

/// A place to write a message into.
pub(crate) struct Writer<'a> {
    room: &'a mut [u8],
    len: usize,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Writer { room, len: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Alert> {
        let end = self.len + bytes.len();
        let place = self.room.get_mut(self.len..end);
        place.ok_or(Alert::InternalError)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// What `body` writes, with its length in two bytes before it.
    fn part(&mut self, body: impl FnOnce(&mut Self) -> Result<(), Alert>) -> Result<(), Alert> {
        let at = self.len;
        self.put(&[0; 2])?;
        body(self)?;
        let len = u16::try_from(self.len - at - 2).map_err(|_| Alert::InternalError)?;
        self.room[at..at + 2].copy_from_slice(&len.to_be_bytes());
        Ok(())
    }

    fn extension(&mut self, kind: u16, parts: &[&[u8]]) -> Result<(), Alert> {
        self.put(&kind.to_be_bytes())?;
        self.part(|out| parts.iter().try_for_each(|part| out.put(part)))
    }

    /// A message of this kind around what `body` writes; its length.
    fn message(
        mut self,
        kind: u8,
        body: impl FnOnce(&mut Self) -> Result<(), Alert>,
    ) -> Result<usize, Alert> {
        self.put(&[kind, 0])?;
        self.part(body)?;
        Ok(self.len)
    }
}

/// A client's first and second message.
#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    /// The client's random.
    pub random: &'a [u8; RANDOM],
    /// The best suite that both ends know.
    pub suite: Suite,
    /// Most bytes of text that its records shall have.
    pub most: Option<usize>,
    /// The product key.
    pub product: &'a str,
    /// Who it is; `None` when it has no identity yet.
    pub id: Option<Id>,
    /// Nothing, its request for an identity, or its proof.
    pub code: &'a [u8],
}

impl<'a> ClientHello<'a> {
    /// Reads a whole message.
    ///
    /// # Errors
    /// What the client is to be told.
    pub fn read(message: &'a [u8]) -> Result<ClientHello<'a>, Alert> {
        let mut body = body(message, CLIENT_HELLO)?;
        if body.array()? != &VERSION {
            return Err(Alert::ProtocolVersion);
        }
        let random = body.array()?;
        let session = body.u8()?;
        if session > 32 {
            return Err(Alert::DecodeError);
        }
        body.bytes(session.into())?;
        let offered = body.part()?;
        let (offered, rest) = offered.as_chunks::<2>();
        if offered.is_empty() || !rest.is_empty() {
            return Err(Alert::DecodeError);
        }
        let offers = |suite: &Suite| offered.contains(&suite.number().to_be_bytes());
        let suite = [Suite::Aes256, Suite::Aes128].into_iter().find(offers);
        let compressions = body.u8()?;
        if !body.bytes(compressions.into())?.contains(&0) {
            return Err(Alert::IllegalParameter);
        }
        let mut extensions = Reader(body.part()?);
        body.end()?;
        let suite = suite.ok_or(Alert::HandshakeFailure)?;

        let (mut most, mut product, mut key, mut code) = (None, None, None, None);
        while !extensions.0.is_empty() {
            let (kind, data) = (extensions.u16()?, extensions.part()?);
            match kind {
                MAX_FRAGMENT_LENGTH => once(&mut most, data)?,
                AUTH_EXTRA => once(&mut product, data)?,
                KEY_ID => once(&mut key, data)?,
                AUTH_CODE => once(&mut code, data)?,
                _ => {}
            }
        }
        let most = most.map(|data| match data {
            // RFC 6066 section 4.
            [power @ 1..=4] => Ok(1 << (8 + power)),
            _ => Err(Alert::IllegalParameter),
        });
        let product = product.ok_or(Alert::BadProduct)?;
        let good =
            (1..=PRODUCT_MAX).contains(&product.len()) && product.iter().all(u8::is_ascii_graphic);
        let product = str::from_utf8(product).ok().filter(|_| good);
        let (group, id) = key
            .and_then(<[u8]>::split_first_chunk)
            .ok_or(Alert::DecodeError)?;
        if *group != GROUP {
            return Err(Alert::BadKeyType);
        }
        let id = if *id == NOBODY {
            None
        } else {
            Some(Id::parse(id).ok_or(Alert::NoSuchIdentity)?)
        };
        let code = code.unwrap_or_default();
        if code.len() > CODE_MAX {
            return Err(Alert::BadCode);
        }
        Ok(ClientHello {
            random,
            suite,
            most: most.transpose()?,
            product: product.ok_or(Alert::BadProduct)?,
            id,
            code,
        })
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, data: &'a [u8]) -> Result<(), Alert> {
    match place.replace(data) {
        None => Ok(()),
        Some(_) => Err(Alert::IllegalParameter),
    }
}

/// Writes a hello; it asks for records of at most 1,024 bytes, as the vendor's clients do.
pub(crate) fn client_hello(
    random: &[u8; RANDOM],
    suites: Suites,
    product: &[u8],
    id: Option<&Id>,
    code: &[u8],
    out: &mut [u8],
) -> Result<usize, Alert> {
    Writer::new(out).message(CLIENT_HELLO, |out| {
        out.put(&VERSION)?;
        out.put(random)?;
        out.put(&[0])?;
        out.part(|out| {
            for suite in [Suite::Aes256, Suite::Aes128] {
                if suites.take(suite) {
                    out.put(&suite.number().to_be_bytes())?;
                }
            }
            // "I renegotiate nothing" (RFC 5746 section 3.3).
            out.put(&[0x00, 0xff])
        })?;
        out.put(&[1, 0])?;
        out.part(|out| {
            out.extension(MAX_FRAGMENT_LENGTH, &[&[2]])?;
            out.extension(EXTENDED_VERSION, &[&EDITION])?;
            out.extension(AUTH_EXTRA, &[product])?;
            let id = id.map_or(&NOBODY, Id::as_bytes);
            out.extension(KEY_ID, &[&GROUP, id])?;
            out.extension(AUTH_CODE, &[code])
        })
    })
}

/// What a server asks for before it believes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyRequest<'a> {
    /// A code over this challenge.
    Challenge(&'a str),
    /// To begin anew with the identity in this data.
    Provision(&'a [u8]),
}

impl<'a> VerifyRequest<'a> {
    /// Reads a whole message. It has one extension and no list around it (wire §7).
    ///
    /// # Errors
    /// What the server is to be told.
    pub fn read(message: &'a [u8]) -> Result<VerifyRequest<'a>, Alert> {
        let mut body = body(message, HELLO_VERIFY_REQUEST)?;
        if body.array()? != &VERSION {
            return Err(Alert::ProtocolVersion);
        }
        let (kind, data) = (body.u16()?, body.part()?);
        body.end()?;
        match kind {
            SRV_CHALLENGE => {
                let good = data.len() == CHALLENGE
                    && data.iter().all(|b| b.is_ascii_graphic() && *b != b'~');
                let text = str::from_utf8(data).ok().filter(|_| good);
                text.map(VerifyRequest::Challenge)
                    .ok_or(Alert::BadServerRandom)
            }
            KEY_OTP_DATA => Ok(VerifyRequest::Provision(data)),
            _ => Err(Alert::DecodeError),
        }
    }

    pub(crate) fn write(self, out: &mut [u8]) -> Result<usize, Alert> {
        Writer::new(out).message(HELLO_VERIFY_REQUEST, |out| {
            out.put(&VERSION)?;
            match self {
                VerifyRequest::Challenge(text) => out.extension(SRV_CHALLENGE, &[text.as_bytes()]),
                VerifyRequest::Provision(data) => out.extension(KEY_OTP_DATA, &[data]),
            }
        })
    }
}

/// A server's proof, and the secret for its client.
#[derive(Debug, Clone, Copy)]
pub struct ServerHello<'a> {
    /// The server's random.
    pub random: &'a [u8; RANDOM],
    /// The suite.
    pub suite: Suite,
    /// The server's code over the client's random.
    pub code: &'a str,
    /// The secret, encrypted for the client.
    pub sealed: &'a [u8],
}

impl<'a> ServerHello<'a> {
    /// Reads a whole message that answers a client which offered `suites`.
    ///
    /// # Errors
    /// What the server is to be told.
    pub fn read(message: &'a [u8], suites: Suites) -> Result<ServerHello<'a>, Alert> {
        let mut body = body(message, SERVER_HELLO)?;
        if body.array()? != &VERSION {
            return Err(Alert::ProtocolVersion);
        }
        let random = body.array()?;
        let session = body.u8()?;
        body.bytes(session.into())?;
        let number = body.u16()?;
        let suite = [Suite::Aes256, Suite::Aes128]
            .into_iter()
            .find(|suite| suite.number() == number && suites.take(*suite))
            .ok_or(Alert::IllegalParameter)?;
        if body.u8()? != 0 {
            return Err(Alert::IllegalParameter);
        }
        let mut extensions = Reader(body.part()?);
        body.end()?;
        let (mut code, mut sealed) = (None, None);
        while !extensions.0.is_empty() {
            let (kind, data) = (extensions.u16()?, extensions.part()?);
            match kind {
                AUTH_CODE => once(&mut code, data)?,
                PRE_MASTER_SECRET => once(&mut sealed, data)?,
                _ => {}
            }
        }
        let code = code.and_then(|code| str::from_utf8(code).ok());
        Ok(ServerHello {
            random,
            suite,
            code: code.ok_or(Alert::DecodeError)?,
            sealed: sealed.ok_or(Alert::DecodeError)?,
        })
    }

    pub(crate) fn write(&self, out: &mut [u8]) -> Result<usize, Alert> {
        Writer::new(out).message(SERVER_HELLO, |out| {
            out.put(&VERSION)?;
            out.put(self.random)?;
            out.put(&[0])?;
            out.put(&self.suite.number().to_be_bytes())?;
            out.put(&[0])?;
            out.part(|out| {
                out.extension(AUTH_CODE, &[self.code.as_bytes()])?;
                out.extension(PRE_MASTER_SECRET, &[self.sealed])
            })
        })
    }
}

/// The body of a whole message of this kind.
fn body(message: &[u8], kind: u8) -> Result<Reader<'_>, Alert> {
    let mut reader = Reader(message);
    let [found, high, middle, low] = *reader.array()?;
    if found != kind {
        return Err(Alert::UnexpectedMessage);
    }
    let len = u32::from_be_bytes([0, high, middle, low]);
    if usize::try_from(len) != Ok(reader.0.len()) {
        return Err(Alert::DecodeError);
    }
    Ok(reader)
}

/// A message that comes in pieces: records need not end where messages do.
pub(crate) struct Gathered {
    bytes: [u8; MESSAGE_MAX],
    len: usize,
}

impl Gathered {
    pub(crate) fn new() -> Gathered {
        Gathered {
            bytes: [0; MESSAGE_MAX],
            len: 0,
        }
    }

    /// Takes the next piece; whether the message is whole. Nobody may say two things at once: each
    /// message is answered before the next one.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<bool, Alert> {
        if piece.is_empty() {
            return Err(Alert::UnexpectedMessage);
        }
        let end = self.len + piece.len();
        let place = self.bytes.get_mut(self.len..end);
        place.ok_or(Alert::DecodeError)?.copy_from_slice(piece);
        self.len = end;
        let Some([_, high, middle, low]) = self.message().first_chunk() else {
            return Ok(false);
        };
        let len = u32::from_be_bytes([0, *high, *middle, *low]);
        let need = usize::try_from(len).map_or(usize::MAX, |len| len.saturating_add(HEAD));
        if need > MESSAGE_MAX {
            return Err(Alert::DecodeError);
        }
        if self.len > need {
            return Err(Alert::UnexpectedMessage);
        }
        Ok(self.len == need)
    }

    pub(crate) fn message(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCT: &[u8] = b"a1MZxOdcBnO";

    fn id() -> Id {
        Id::parse(b"2122232425262728292A2B2C").unwrap()
    }

    fn hello(code: &[u8]) -> ([u8; MESSAGE_MAX], usize) {
        let mut out = [0; MESSAGE_MAX];
        let suites = Suites::Both;
        let len = client_hello(&[7; 32], suites, PRODUCT, Some(&id()), code, &mut out).unwrap();
        (out, len)
    }

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        let (message, len) = hello(b"code");
        let hello = ClientHello::read(&message[..len]).unwrap();
        assert_eq!(hello.random, &[7; 32]);
        assert_eq!(hello.suite, Suite::Aes256);
        assert_eq!(hello.most, Some(1024));
        assert_eq!(hello.product.as_bytes(), PRODUCT);
        assert_eq!(hello.id, Some(id()));
        assert_eq!(hello.code, b"code");
        let mut out = [0; MESSAGE_MAX];
        let suites = Suites::Only(Suite::Aes128);
        let len = client_hello(&[7; 32], suites, PRODUCT, None, b"", &mut out).unwrap();
        let hello = ClientHello::read(&out[..len]).unwrap();
        assert_eq!(
            (hello.suite, hello.id, hello.code),
            (Suite::Aes128, None, &b""[..])
        );
    }

    /// The bytes of wire §7, put together by hand: suites D004 D003 00FF, the extensions with their
    /// numbers, the group of keys and the version in the other byte order.
    #[test]
    fn a_hello_has_the_bytes_of_the_wire() {
        let mut out = [0; MESSAGE_MAX];
        let len = client_hello(&[7; 32], Suites::Both, b"pk", None, b"", &mut out).unwrap();
        let expected = [
            &[1, 0, 0, 102, 3, 3][..],
            &[7; 32],
            b"\x00\x00\x06\xd0\x04\xd0\x03\x00\xff\x01\x00\x00\x37",
            b"\x00\x01\x00\x01\x02\x20\x20\x00\x04\x00\x02\x01\x00\x20\x00\x00\x02pk",
            b"\x20\x01\x00\x1c\x00\x10\x00\x10FFFFFFFFFFFFFFFFFFFFFFFF\x20\x02\x00\x00",
        ]
        .concat();
        assert_eq!(out[..len], expected[..]);
    }

    #[test]
    fn hellos_that_cannot_be_are_refused() {
        let (message, len) = hello(b"");
        for cut in 0..len {
            let mut message = message;
            assert!(ClientHello::read(&message[..cut]).is_err(), "{cut}");
            // With a length that fits, what is in it ends too early.
            if cut >= HEAD {
                message[3] = u8::try_from(cut - HEAD).unwrap();
                assert!(ClientHello::read(&message[..cut]).is_err(), "{cut}");
            }
        }
        let altered = |at: usize, byte: u8| {
            let mut message = message;
            message[at] = byte;
            ClientHello::read(&message[..len]).err()
        };
        // Kind, version, session, suites, compression.
        assert_eq!(altered(0, 2), Some(Alert::UnexpectedMessage));
        assert_eq!(altered(5, 2), Some(Alert::ProtocolVersion));
        assert_eq!(altered(38, 33), Some(Alert::DecodeError));
        assert_eq!(altered(42, 1), None, "D001 beside D003");
        assert_eq!(altered(48, 1), Some(Alert::IllegalParameter));
        let mut sha1 = message;
        (sha1[42], sha1[44]) = (1, 2);
        assert_eq!(
            ClientHello::read(&sha1[..len]).err(),
            Some(Alert::HandshakeFailure)
        );
        // max_fragment_length 5; the product twice in place of the version; a group; an identity.
        assert_eq!(altered(55, 5), Some(Alert::IllegalParameter));
        assert_eq!(altered(57, 0), Some(Alert::IllegalParameter));
        let group = 64 + 4 + PRODUCT.len() + 4;
        assert_eq!(altered(group, 1), Some(Alert::BadKeyType));
        assert_eq!(altered(group + 4, b'G'), Some(Alert::NoSuchIdentity));
        assert_eq!(altered(68, b' '), Some(Alert::BadProduct));
        assert_eq!(altered(65, 0x0f), Some(Alert::BadProduct), "no product");
        assert_eq!(
            altered(69 + PRODUCT.len(), 0x0f),
            Some(Alert::DecodeError),
            "no key"
        );
        let mut long = [0; 2 * MESSAGE_MAX];
        let code = [b'x'; CODE_MAX + 1];
        let len = client_hello(&[0; 32], Suites::Both, PRODUCT, None, &code, &mut long).unwrap();
        assert_eq!(ClientHello::read(&long[..len]).err(), Some(Alert::BadCode));
    }

    #[test]
    fn a_verify_request_has_one_extension_and_no_list() {
        let challenge = "55B83408399FA660F05C82E4F25333DC";
        let mut out = [0; MESSAGE_MAX];
        let len = VerifyRequest::Challenge(challenge).write(&mut out).unwrap();
        let expected = [
            &b"\x03\0\0\x26\x03\x03\x20\x10\0\x20"[..],
            challenge.as_bytes(),
        ]
        .concat();
        assert_eq!(out[..len], expected[..]);
        let read = VerifyRequest::read(&out[..len]);
        assert_eq!(read, Ok(VerifyRequest::Challenge(challenge)));
        out[len - 1] = b'~';
        assert_eq!(
            VerifyRequest::read(&out[..len]),
            Err(Alert::BadServerRandom)
        );
        out[7] = 0x12;
        assert_eq!(VerifyRequest::read(&out[..len]), Err(Alert::DecodeError));
        let len = VerifyRequest::Provision(b"data").write(&mut out).unwrap();
        assert_eq!(out[..len], b"\x03\0\0\x0a\x03\x03\x20\x11\0\x04data"[..]);
        let read = VerifyRequest::read(&out[..len]);
        assert_eq!(read, Ok(VerifyRequest::Provision(b"data")));
        for cut in 0..len {
            assert!(VerifyRequest::read(&out[..cut]).is_err());
        }
        for short in ["", "55B83408399FA660F05C82E4F25333D"] {
            let len = VerifyRequest::Challenge(short).write(&mut out).unwrap();
            assert_eq!(
                VerifyRequest::read(&out[..len]),
                Err(Alert::BadServerRandom)
            );
        }
    }

    #[test]
    fn a_server_hello_is_read_as_it_was_written() {
        let hello = ServerHello {
            random: &[9; 32],
            suite: Suite::Aes128,
            code: "10~2~X~AAAA",
            sealed: &[5; 64],
        };
        let mut out = [0; MESSAGE_MAX];
        let len = hello.write(&mut out).unwrap();
        let read = ServerHello::read(&out[..len], Suites::Both).unwrap();
        assert_eq!(read.random, hello.random);
        assert_eq!(
            (read.suite, read.code, read.sealed),
            (hello.suite, hello.code, hello.sealed)
        );
        let only = Suites::Only(Suite::Aes256);
        assert_eq!(
            ServerHello::read(&out[..len], only).err(),
            Some(Alert::IllegalParameter)
        );
        for cut in 0..len {
            assert!(ServerHello::read(&out[..cut], Suites::Both).is_err());
        }
        // Compression, and an answer without a proof.
        for at in [41, 44] {
            let mut out = out;
            out[at] ^= 1;
            assert!(ServerHello::read(&out[..len], Suites::Both).is_err());
        }
    }

    #[test]
    fn messages_come_in_pieces_and_one_at_a_time() {
        let (message, len) = hello(b"");
        let mut gathered = Gathered::new();
        for byte in &message[..len - 1] {
            assert_eq!(gathered.take(&[*byte]), Ok(false));
        }
        assert_eq!(gathered.take(&message[len - 1..len]), Ok(true));
        assert_eq!(gathered.message(), &message[..len]);
        assert_eq!(gathered.take(b"x"), Err(Alert::UnexpectedMessage));
        gathered.clear();
        assert_eq!(gathered.take(b""), Err(Alert::UnexpectedMessage));
        assert_eq!(gathered.take(b"\x01\xff\xff\xff"), Err(Alert::DecodeError));
        gathered.clear();
        assert_eq!(
            gathered.take(&[0; MESSAGE_MAX + 1]),
            Err(Alert::DecodeError)
        );
    }
}
