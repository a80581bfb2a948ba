use super::*;
use crate::holder::{
    Sealed,
    tests::{Memory, sealed},
};
use alloc::string::String;
use credential::id2::{
    AuthCode,
    otp::{OtpCode, provision},
    server::DeviceKey,
};

const TOKEN: &[u8] = b"i11iQLFQgzT2BRTWTVQ9B0BE0549A601";
const RANDOM: [u8; 8] = [1; 8];
const CHALLENGE: Fresh<'_> = Fresh::Challenge("55B83408399FA660F05C82E4F25333DC");

fn started() -> Client<Sealed<Memory>> {
    let mut client = Client::new(sealed(Memory::erased()), Form::Plain);
    client.init().unwrap();
    client
}

fn session() -> Session {
    Zeroizing::new([7; 16])
}

fn code(client: &mut Client<Sealed<Memory>>) -> Result<String, ClientError> {
    let mut out = [0; 256];
    let len = client.auth_code(CHALLENGE, None, RANDOM, &mut out)?;
    Ok(String::from_utf8(out[..len].to_vec()).unwrap())
}

/// From nothing to a device that the server believes. [ID-5] [ID-6]
#[test]
fn id_6_a_device_without_an_identity_gets_one_and_proves_it() {
    let mut client = started();
    assert_eq!(client.is_provisioned(), Ok(false));
    assert_eq!(client.id(), Err(ClientError::NoIdentity));
    assert_eq!(code(&mut client), Err(ClientError::NoIdentity));

    let mut out = [0; 256];
    let len = client
        .otp_auth_code(TOKEN, b"fingerprint", session(), &mut out)
        .unwrap();
    let token = Token::parse(TOKEN).unwrap_or_else(|_| unreachable!());
    let asked = OtpCode::parse(&out[..len]).ok().unwrap();
    let opened = asked.open(&token).ok().unwrap();
    assert_eq!(opened.fingerprint(), b"fingerprint");
    let id = Id::issue([1; 3], [2; 3], 77);
    let key = SoftKey::new(KeyType::Aes128, &[9; 16]).unwrap();
    let mut data = [0; 105];
    let len = provision(&opened.session, &id, &key, &mut data).unwrap();

    let mut altered = data;
    altered[40] ^= 1;
    assert_eq!(
        client.load_otp_data(&altered[..len], &[1; NONCE]),
        Err(ClientError::Otp(OtpError::Proof))
    );
    assert_eq!(client.is_provisioned(), Ok(false));
    assert_eq!(client.load_otp_data(&data[..len], &[1; NONCE]), Ok(()));
    assert_eq!(client.is_provisioned(), Ok(true));
    assert_eq!(client.id(), Ok(id));
    // The session is spent.
    assert_eq!(
        client.load_otp_data(&data[..len], &[1; NONCE]),
        Err(ClientError::Order)
    );

    let server = DeviceKey::new(
        KeyType::Aes128,
        &credential::Secret::new(alloc::vec![9; 16]),
    );
    let server = server.ok().unwrap();
    let text = code(&mut client).unwrap();
    let read = AuthCode::parse(&text).ok().unwrap();
    assert_eq!(server.verify(&id, &read, None, false), Ok(()));

    let data = server.encrypt("hello id2", &[0; 64]).unwrap();
    let len = client.decrypt(&data, &mut out).unwrap();
    assert_eq!(&out[..len], b"hello id2");

    let challenge = client.device_challenge(RANDOM).unwrap();
    let challenge = core::str::from_utf8(&challenge).unwrap();
    let answer = server
        .server_code(&id, Form::Plain, challenge, None)
        .unwrap();
    assert_eq!(client.verify_server(&answer, None, None), Ok(()));
    // A challenge is good once, unless the caller keeps it itself.
    assert_eq!(
        client.verify_server(&answer, None, None),
        Err(ClientError::Order)
    );
    let own = challenge.as_bytes();
    assert_eq!(client.verify_server(&answer, Some(own), None), Ok(()));
    assert!(
        client
            .verify_server(&answer, Some(own), Some(b"x"))
            .is_err()
    );
}

#[test]
fn id_6_calls_in_the_wrong_order_are_refused() {
    let mut client = Client::new(sealed(Memory::erased()), Form::Plain);
    let mut out = [0; 256];
    for _ in 0..2 {
        assert_eq!(client.id(), Err(ClientError::Order));
        assert_eq!(client.is_provisioned(), Err(ClientError::Order));
        assert_eq!(code(&mut client), Err(ClientError::Order));
        assert_eq!(client.decrypt(&[0; 16], &mut out), Err(ClientError::Order));
        assert_eq!(client.device_challenge(RANDOM), Err(ClientError::Order));
        assert_eq!(
            client.verify_server("10~2~a~AAAA", None, None),
            Err(ClientError::Order)
        );
        assert_eq!(client.secret(b"seed").err(), Some(ClientError::Order));
        assert_eq!(
            client.otp_auth_code(TOKEN, b"f", session(), &mut out),
            Err(ClientError::Order)
        );
        assert_eq!(
            client.load_otp_data(&[1; 89], &[0; NONCE]),
            Err(ClientError::Order)
        );
        client.init().unwrap();
        assert_eq!(
            client.load_otp_data(&[1; 89], &[0; NONCE]),
            Err(ClientError::Order)
        );
        client
            .otp_auth_code(TOKEN, b"f", session(), &mut out)
            .unwrap();
        client.init().unwrap();
        assert_eq!(
            client.load_otp_data(&[1; 89], &[0; NONCE]),
            Err(ClientError::Otp(OtpError::Form)),
            "starting again forgets nothing"
        );
        client.cleanup();
    }
}

/// Every result of seed 1.1.8 that this room can give.
#[test]
fn id_6_errors_have_the_results_of_the_seed() {
    for (error, code) in [
        (ClientError::Order, -1),
        (ClientError::NoIdentity, -11),
        (DeviceError::Freshness.into(), -2),
        (DeviceError::Challenge.into(), -2),
        (DeviceError::Excess.into(), -4),
        (DeviceError::ShortBuffer(1).into(), -3),
        (DeviceError::NotTheServer.into(), -1),
        (KeyError::NotSupported.into(), -8),
        (KeyError::BadLength.into(), -2),
        (KeyError::Communication.into(), -7),
        (KeyError::BadCipher.into(), -1),
        (KeyError::Failed.into(), -1),
        (OtpError::Token.into(), -1),
        (OtpError::TokenKind.into(), -8),
        (OtpError::KeyType.into(), -8),
        (OtpError::ShortBuffer(1).into(), -3),
        (OtpError::Fingerprint.into(), -2),
        (OtpError::Proof.into(), -1),
    ] {
        assert_eq!(ClientError::code(error), code, "{error:?}");
        assert_eq!(error.need().is_some(), code == -3);
    }
}

/// A carrier that cannot be reached.
struct Away;

impl KeyHolder for Away {
    type Key<'a> = SoftKey;

    fn open(&mut self) -> Result<Option<(Id, SoftKey)>, KeyError> {
        Err(KeyError::Communication)
    }

    fn install(&mut self, _: &Id, _: &SoftKey, _: &[u8; NONCE]) -> Result<(), KeyError> {
        Err(KeyError::Communication)
    }
}

#[test]
fn a_carrier_that_is_away_is_noticed_at_the_start() {
    let mut client = Client::new(Away, Form::Plain);
    assert_eq!(client.init().map_err(ClientError::code), Err(-7));
    assert_eq!(client.id(), Err(ClientError::Order));
}
