use super::*;
use crate::{
    Suite, Suites,
    client::{Client, Event},
    record::{HEAD, Head, Said},
};
use alloc::{string::String, vec::Vec};
use credential::{
    Secret,
    id2::{
        KeyType, SoftKey,
        device::{self, Form, Fresh},
        otp::{self, OtpCode, Token},
        server::DeviceKey,
    },
};

const PRODUCT: &[u8] = b"a1MZxOdcBnO";
const CHALLENGE_TEXT: &[u8; 32] = b"55B83408399FA660F05C82E4F25333DC";
const TOKEN: &[u8] = b"i11iQLFQgzT2BRTWTVQ9B0BE0549A601";

/// The identity and key of wire §9, V1.
fn id() -> Id {
    Id::parse(b"2122232425262728292A2B2C").unwrap()
}

const KEY: [u8; 16] = *b"!\"#$%&'()*+,-./0";

fn key() -> SoftKey {
    SoftKey::new(KeyType::Aes128, &KEY).unwrap()
}

fn device_key() -> DeviceKey {
    DeviceKey::new(KeyType::Aes128, &Secret::new(KEY.to_vec()))
        .ok()
        .unwrap()
}

/// Both ends, and a line between them.
struct Line {
    client: Client,
    server: Server,
    out: [u8; OUT_MAX],
}

impl Line {
    fn new(suites: Suites) -> Line {
        Line {
            client: Client::new(PRODUCT, suites).unwrap(),
            server: Server::default(),
            out: [0; OUT_MAX],
        }
    }

    /// Hands what the client wrote to the server.
    fn up(&mut self, len: usize) -> Result<Step, Alert> {
        let mut record = self.out[..len].to_vec();
        let head = Head::read(record[..HEAD].try_into().unwrap())?;
        assert_eq!(head.len, len - HEAD);
        let body = &mut record[HEAD..];
        self.server.take(head.kind, body, &[8; 16], &mut self.out)
    }

    /// Hands what the server wrote to the client.
    fn down(&mut self, len: usize) -> Result<Event, Alert> {
        let mut record = self.out[..len].to_vec();
        let head = Head::read(record[..HEAD].try_into().unwrap())?;
        assert_eq!(head.len, len - HEAD);
        self.client.take(head.kind, &mut record[HEAD..])
    }

    fn hello(&mut self) -> Result<Step, Alert> {
        let len = self.client.hello(Ok(&id()), [1; 32], &mut self.out)?;
        self.up(len)
    }

    fn challenge(&mut self) -> Result<Event, Alert> {
        let len = self.server.challenge(CHALLENGE_TEXT, &mut self.out)?;
        self.down(len)
    }

    fn prove(&mut self) -> Result<Step, Alert> {
        let challenge: String = self.client.challenge().unwrap().into();
        let mut code = [0; 256];
        let fresh = Fresh::Challenge(&challenge);
        let len = device::auth_code(
            &key(),
            &id(),
            Form::Plain,
            fresh,
            None,
            *b"01234567",
            &mut code,
        )
        .unwrap();
        let len = self
            .client
            .prove(&id(), &code[..len], [2; 32], &mut self.out)?;
        self.up(len)
    }

    fn greet(&mut self) -> Result<Event, Alert> {
        let challenge = self.server.device_challenge().unwrap();
        let challenge = str::from_utf8(&challenge).unwrap();
        let code = device_key().server_code(&id(), Form::Plain, challenge, None);
        let sealed = device_key().encrypt_bytes(&[4; 48], &[0; 64]).unwrap();
        let greeting = Greeting {
            random: &[3; 32],
            code: &code.unwrap(),
            pre_master: &[4; 48],
            sealed: &sealed,
        };
        let len = self.server.prove(&greeting, &mut self.out)?;
        self.down(len)
    }

    fn accept(&mut self) -> Result<Step, Alert> {
        let (code, sealed) = self.client.greeting().unwrap();
        let challenge = self.client.device_challenge();
        device::check_server(&key(), &id(), Form::Plain, code, &challenge, None).unwrap();
        let mut pre_master = [0; 64];
        let len = device::decrypt(&key(), sealed, &mut pre_master).unwrap();
        let pre_master = pre_master[..len].try_into().unwrap();
        let len = self.client.accept(&pre_master, &[6; 16], &mut self.out)?;
        self.up(len)
    }
}

/// wire §7, from the first hello to data both ways, under each suite.
#[test]
fn al_3_2_two_ends_that_share_a_key_agree() {
    for suites in [
        Suites::Both,
        Suites::Only(Suite::Aes128),
        Suites::Only(Suite::Aes256),
    ] {
        let mut line = Line::new(suites);
        assert_eq!(line.hello(), Ok(Step::Challenge));
        let hello = line.server.hello().unwrap();
        assert_eq!((hello.product.as_bytes(), hello.id), (PRODUCT, Some(id())));
        assert_eq!(line.challenge(), Ok(Event::Challenge));
        assert_eq!(line.prove(), Ok(Step::Prove));
        let challenged = line.server.challenged().map(str::as_bytes);
        assert_eq!(challenged, Some(&CHALLENGE_TEXT[..]));
        assert_eq!(line.greet(), Ok(Event::Greeting));
        let Ok(Step::Done(len)) = line.accept() else {
            panic!("the client's proof is right");
        };
        assert_eq!(line.down(len), Ok(Event::Done));
        let (mut client_out, mut client_in) = line.client.ends().unwrap();
        let (mut server_out, mut server_in) = line.server.ends().unwrap();
        // What the client asked for.
        assert_eq!((server_out.most(), client_out.most()), (1024, 1 << 14));
        let hear = |sender: &mut Sender, receiver: &mut Receiver, text: &[u8]| {
            let mut out = [0; 128];
            let len = sender.seal(Kind::Data, text, &[9; 16], &mut out).unwrap();
            let said = receiver.take(Kind::Data, &mut out[HEAD..len]);
            let Ok(Said::Data { from, to }) = said else {
                panic!("{said:?}");
            };
            assert_eq!(&out[HEAD + from..HEAD + to], text);
        };
        hear(&mut client_out, &mut server_in, b"up");
        hear(&mut server_out, &mut client_in, b"down");
        hear(&mut client_out, &mut server_in, b"up again");
    }
}

/// wire §7, the first step of a device that has nothing, with the vectors of wire §9, V8.
#[test]
fn id_5_an_identity_comes_in_the_handshake() {
    let token = Token::parse(TOKEN).ok().unwrap();
    let session = [b'0'; 16].into();
    let mut request = [0; otp::CODE_MAX];
    let len = otp::auth_code(&token, &session, &[b'1'; 16], &mut request).unwrap();
    let request = &request[..len];
    let mut line = Line::new(Suites::Both);
    let len = line
        .client
        .hello(Err(request), [1; 32], &mut line.out)
        .unwrap();
    assert_eq!(line.up(len), Ok(Step::Provision));
    let hello = line.server.hello().unwrap();
    assert_eq!((hello.id, hello.code), (None, request));
    let opened = OtpCode::parse(hello.code).unwrap().open(&token);
    let opened = opened.ok().unwrap();
    let mut data = [0; otp::PROVISION_MAX];
    let len = otp::provision(&opened.session, &id(), &key(), &mut data).unwrap();
    let len = line.server.provision(&data[..len], &mut line.out).unwrap();
    assert_eq!(line.down(len), Ok(Event::Provision));
    let data: Vec<u8> = line.client.provision().unwrap().into();
    let (given, _) = otp::load(KeyType::Aes128, &session, &data).ok().unwrap();
    assert_eq!(given, id());
    // It goes on with what it got, and may not ask twice.
    let mut again = line;
    let len = again.client.hello(Ok(&given), [2; 32], &mut again.out);
    assert_eq!(again.up(len.unwrap()), Ok(Step::Challenge));
    let mut line = Line::new(Suites::Both);
    for _ in 0..2 {
        let len = line
            .client
            .hello(Err(request), [1; 32], &mut line.out)
            .unwrap();
        match line.up(len) {
            Ok(Step::Provision) => {}
            other => {
                assert_eq!(other, Err(Alert::UnexpectedMessage));
                return;
            }
        }
        let len = line.server.provision(&data, &mut line.out).unwrap();
        assert_eq!(line.down(len), Ok(Event::Provision));
    }
    panic!("the second request should have been refused");
}

/// A code is over the challenge of its own connection, and comes second.
#[test]
fn a_hello_that_was_recorded_is_refused() {
    let mut line = Line::new(Suites::Both);
    line.hello().unwrap();
    line.challenge().unwrap();
    let mut code = [0; 256];
    let fresh = Fresh::Challenge("55B83408399FA660F05C82E4F25333DC");
    let len = device::auth_code(&key(), &id(), Form::Plain, fresh, None, [0; 8], &mut code);
    let len = line
        .client
        .prove(&id(), &code[..len.unwrap()], [2; 32], &mut line.out)
        .unwrap();
    let recorded = line.out;
    line.server = Server::default();
    line.out = recorded;
    assert_eq!(line.up(len), Err(Alert::BadChallenge));
    assert_eq!(line.server.hello().map(|hello| hello.product), None);
}

#[test]
fn another_identity_or_product_in_the_second_hello_is_refused() {
    for (product, who) in [
        (&b"otherProduct"[..], id()),
        (PRODUCT, Id::issue([1; 3], [2; 3], 3)),
    ] {
        let mut line = Line::new(Suites::Both);
        line.hello().unwrap();
        line.challenge().unwrap();
        let mut other = Client::new(product, Suites::Both).unwrap();
        other.hello(Ok(&who), [1; 32], &mut line.out).unwrap();
        let len = line.server.challenge(CHALLENGE_TEXT, &mut line.out);
        assert_eq!(len, Err(Alert::InternalError), "one challenge a connection");
        let mut asked = [0; 64];
        let len = request(
            VerifyRequest::Challenge("55B83408399FA660F05C82E4F25333DC"),
            &mut asked,
        );
        let body = &mut asked[HEAD..len.unwrap()];
        assert_eq!(other.take(Kind::Handshake, body), Ok(Event::Challenge));
        let len = other.prove(&who, b"code", [2; 32], &mut line.out);
        assert_eq!(line.up(len.unwrap()), Err(Alert::IllegalParameter));
    }
}

/// What is altered on its way is noticed at the end, though the keys agree.
#[test]
fn a_handshake_that_was_altered_is_not_finished() {
    let mut line = Line::new(Suites::Both);
    line.hello().unwrap();
    line.challenge().unwrap();
    line.prove().unwrap();
    let challenge = line.server.device_challenge().unwrap();
    let challenge = str::from_utf8(&challenge).unwrap();
    let code = device_key().server_code(&id(), Form::Plain, challenge, None);
    let sealed = device_key().encrypt_bytes(&[4; 48], &[0; 64]).unwrap();
    let greeting = Greeting {
        random: &[3; 32],
        code: &code.unwrap(),
        pre_master: &[4; 48],
        sealed: &sealed,
    };
    let len = line.server.prove(&greeting, &mut line.out).unwrap();
    // An extension that nobody knows: record, message and list are four bytes longer.
    let mut record = line.out[..len].to_vec();
    record.extend([0x12, 0x34, 0, 0]);
    for at in [HEAD - 2, HEAD + 2, HEAD + 42] {
        let longer = u16::from_be_bytes([record[at], record[at + 1]]) + 4;
        record[at..at + 2].copy_from_slice(&longer.to_be_bytes());
    }
    let taken = line.client.take(Kind::Handshake, &mut record[HEAD..]);
    assert_eq!(taken, Ok(Event::Greeting));
    assert_eq!(line.accept(), Err(Alert::DecryptError));
    assert!(line.server.ends().is_none());
}

/// A server that does not prove the handshake is not believed.
#[test]
fn a_wrong_proof_of_the_server_is_refused() {
    let mut message = finished([7; 12]);
    assert_eq!(verify(&message, &[7; 12]), Ok(()));
    for at in 0..message.len() {
        message[at] ^= 1;
        assert!(verify(&message, &[7; 12]).is_err(), "{at}");
        message[at] ^= 1;
    }
    assert_eq!(verify(&message[..15], &[7; 12]), Err(Alert::DecodeError));
    assert_eq!(verify(&[], &[7; 12]), Err(Alert::DecodeError));
}

/// Who has the identity's code, but not its key, does not learn the secret.
#[test]
fn a_client_without_the_key_does_not_finish() {
    let mut line = Line::new(Suites::Both);
    line.hello().unwrap();
    line.challenge().unwrap();
    line.prove().unwrap();
    line.greet().unwrap();
    let len = line
        .client
        .accept(&[5; 48], &[6; 16], &mut line.out)
        .unwrap();
    assert_eq!(line.up(len), Err(Alert::BadRecord));
    let len = line
        .server
        .refuse(Alert::BadRecord, &[7; 16], &mut line.out)
        .unwrap();
    assert!(line.server.ends().is_none());
    // That it was refused under other keys the client cannot read, and says so.
    let mut record = line.out[..len].to_vec();
    assert_eq!(
        line.client.take(Kind::Alert, &mut record[HEAD..]),
        Err(Alert::BadRecord)
    );
    assert!(line.client.ends().is_none());
}

#[test]
fn what_comes_at_the_wrong_time_is_refused() {
    let mut out = [0; OUT_MAX];
    let mut server = Server::default();
    for kind in [Kind::Data, Kind::Handshake] {
        let taken = server.take(kind, &mut [], &[0; 16], &mut out);
        assert_eq!(taken, Err(Alert::UnexpectedMessage));
    }
    assert_eq!(server.provision(b"x", &mut out), Err(Alert::InternalError));
    let told = server.take(Kind::Alert, &mut [2, 40], &[0; 16], &mut out);
    assert_eq!(told, Ok(Step::End(Alert::HandshakeFailure)));
    let mut line = Line::new(Suites::Both);
    assert_eq!(line.hello(), Ok(Step::Challenge));
    // Before the answer to the first.
    let len = Client::new(PRODUCT, Suites::Both)
        .unwrap()
        .hello(Ok(&id()), [1; 32], &mut line.out);
    assert_eq!(line.up(len.unwrap()), Err(Alert::UnexpectedMessage));
    let len = line
        .server
        .refuse(Alert::NoSuchIdentity, &[0; 16], &mut line.out)
        .unwrap();
    assert_eq!(line.out[..len], [21, 3, 3, 0, 2, 2, 162]);
    assert_eq!(line.down(len), Ok(Event::End(Alert::NoSuchIdentity)));
    let again = line.client.hello(Ok(&id()), [1; 32], &mut line.out);
    assert_eq!(again, Err(Alert::InternalError));
    assert!(Client::new(b"", Suites::Both).is_err());
    assert!(Client::new(&[b'x'; PRODUCT_MAX + 1], Suites::Both).is_err());
}
