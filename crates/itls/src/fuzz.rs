//! Fuzz bodies: what each parser of outside bytes promises for any input.

use crate::{
    Alert, Suites,
    client::{Client, Event},
    message::{ClientHello, ServerHello, VerifyRequest},
    record::{HEAD, Head},
    server::{Greeting, OUT_MAX, Server, Step},
};
use credential::id2::Id;

/// The records of `data`, one after the other, until one makes no sense.
fn records(data: &[u8], mut each: impl FnMut(Head, &mut [u8]) -> bool) {
    let mut rest = data;
    let mut room = [0; 2048];
    while let Some((head, behind)) = rest.split_first_chunk::<HEAD>() {
        let Ok(head) = Head::read(*head) else { return };
        let len = head.len.min(behind.len()).min(room.len());
        let (body, behind) = behind.split_at(len);
        room[..len].copy_from_slice(body);
        if !each(head, &mut room[..len]) {
            return;
        }
        rest = behind;
    }
}

/// Whatever a client sends, a server that answers everything as if it were right lets nobody in who
/// has not the key; and what it writes has room.
pub fn server(data: &[u8]) {
    let _ = ClientHello::read(data);
    let mut server = Server::default();
    let mut out = [0; OUT_MAX];
    records(data, |head, body| {
        let step = server.take(head.kind, body, &[0; 16], &mut out);
        let answered = match step {
            Ok(Step::More) => Ok(0),
            Ok(Step::Provision) => server.provision(&[1; 105], &mut out),
            Ok(Step::Challenge) => server.challenge(&[b'A'; 32], &mut out),
            Ok(Step::Prove) => server.prove(
                &Greeting {
                    random: &[2; 32],
                    code: "10~2~x~AAAA",
                    pre_master: &[3; 48],
                    sealed: &[4; 256],
                },
                &mut out,
            ),
            Ok(Step::Done(_)) => panic!("nobody knows the secret"),
            Ok(Step::End(_)) => Err(Alert::CloseNotify),
            Err(alert) => Err(alert),
        };
        assert_ne!(answered, Err(Alert::InternalError));
        answered.is_ok()
    });
    assert!(server.refuse(Alert::Generic, &[0; 16], &mut out).is_ok());
    assert!(server.ends().is_none());
}

/// Whatever a server sends, a device believes no greeting that it has not looked at, and is never
/// done with one who has not its key.
pub fn client(data: &[u8]) {
    let _ = VerifyRequest::read(data);
    let _ = ServerHello::read(data, Suites::Both);
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let id = Id::issue([1; 3], [2; 3], 3);
    let Ok(mut client) = Client::new(b"product", Suites::Both) else {
        panic!("a product key");
    };
    let mut out = [0; OUT_MAX];
    let who = if first & 1 == 0 {
        Ok(&id)
    } else {
        Err(&data[..data.len().min(256)])
    };
    assert!(client.hello(who, [1; 32], &mut out).is_ok());
    records(data, |head, body| {
        let answered = match client.take(head.kind, body) {
            Ok(Event::More) => Ok(0),
            Ok(Event::Provision) => {
                assert!(client.provision().is_some());
                client.hello(Ok(&id), [2; 32], &mut out)
            }
            Ok(Event::Challenge) => {
                assert!(client.challenge().is_some());
                client.prove(&id, b"code", [3; 32], &mut out)
            }
            Ok(Event::Greeting) => {
                assert!(client.greeting().is_some());
                client.accept(&[4; 48], &[5; 16], &mut out)
            }
            Ok(Event::Done) => panic!("nobody knows the secret"),
            // It may say what it likes.
            Ok(Event::End(_)) => return false,
            Err(alert) => Err(alert),
        };
        assert_ne!(answered, Err(Alert::InternalError));
        answered.is_ok()
    });
    assert!(client.ends().is_none());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn recorded(write: impl FnOnce(&mut [u8]) -> Result<usize, Alert>) -> Vec<u8> {
        let mut out = [0; OUT_MAX];
        let len = write(&mut out).unwrap();
        out[..len].to_vec()
    }

    /// 30,000 alterations of what either end may hear, from a fixed seed.
    #[test]
    fn both_ends_hold() {
        let id = Id::issue([1; 3], [2; 3], 3);
        let hello = |who: Result<&Id, &[u8]>| {
            recorded(|out| Client::new(b"product", Suites::Both)?.hello(who, [1; 32], out))
        };
        let challenge = recorded(|out| {
            let len = VerifyRequest::Challenge("55B83408399FA660F05C82E4F25333DC")
                .write(&mut out[HEAD..])?;
            out[..HEAD].copy_from_slice(&Head::write(crate::Kind::Handshake, len)?);
            Ok(HEAD + len)
        });
        let second = {
            let mut client = Client::new(b"product", Suites::Both).unwrap();
            let mut out = [0; OUT_MAX];
            client.hello(Ok(&id), [1; 32], &mut out).unwrap();
            let mut asked = challenge[HEAD..].to_vec();
            client.take(crate::Kind::Handshake, &mut asked).unwrap();
            recorded(|out| client.prove(&id, b"code", [2; 32], out))
        };
        let greeting = recorded(|out| {
            let hello = ServerHello {
                random: &[1; 32],
                suite: crate::Suite::Aes256,
                code: "10~2~x~AAAA",
                sealed: &[7; 64],
            };
            let len = hello.write(&mut out[HEAD..])?;
            out[..HEAD].copy_from_slice(&Head::write(crate::Kind::Handshake, len)?);
            Ok(HEAD + len)
        });
        let finished = [&[22, 3, 3, 0, 80][..], &[9; 80]].concat();
        let told = [
            &hello(Err(b"request"))[..],
            &hello(Ok(&id)),
            &second,
            &finished,
        ]
        .concat();
        let heard = [&[0][..], &challenge, &greeting, &finished].concat();
        let mut state = 1u64;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize
        };
        for (sample, body) in [(&told, server as fn(&[u8])), (&heard, client)] {
            body(sample);
            for _ in 0..15_000 {
                let mut data = sample.clone();
                for _ in 0..next() % 6 {
                    let at = next() % data.len();
                    data[at] = (next() & 0xff) as u8;
                }
                body(&data[..next() % (sample.len() + 1)]);
            }
        }
    }
}
