//! From the secret that both ends have to keys and proofs (RFC 5246 sections 6.3, 7.4.9 and 8.1).

use crate::{
    Alert, Suite,
    record::{Receiver, Sender},
};
use credential::crypto::record::{PROOF, RecordKeys, prf};
use zeroize::Zeroizing;

/// Bytes of the secret that the server chooses.
pub(crate) const PRE_MASTER: usize = 48;
/// Bytes of a proof over the handshake.
pub(crate) const VERIFY: usize = 12;

/// The master secret.
pub(crate) struct Master(Zeroizing<[u8; 48]>);

/// Which end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Client,
    Server,
}

impl Master {
    pub(crate) fn new(
        pre_master: &[u8; PRE_MASTER],
        client: &[u8; 32],
        server: &[u8; 32],
    ) -> Master {
        let mut master = Zeroizing::new([0; 48]);
        prf(
            pre_master,
            b"master secret",
            [client, server],
            &mut master[..],
        );
        Master(master)
    }

    /// The two directions as `end` has them.
    pub(crate) fn directions(
        &self,
        end: End,
        suite: Suite,
        client: &[u8; 32],
        server: &[u8; 32],
    ) -> Result<(Sender, Receiver), Alert> {
        let len = suite.key_len();
        let mut block = Zeroizing::new([0; 2 * (PROOF + 32)]);
        let block = &mut block[..2 * (PROOF + len)];
        prf(&self.0[..], b"key expansion", [server, client], block);
        let (proofs, ciphers) = block.split_at(2 * PROOF);
        let keys = |n: usize| {
            let proof = proofs.as_chunks().0.get(n).ok_or(Alert::InternalError)?;
            let cipher = &ciphers[n * len..(n + 1) * len];
            RecordKeys::new(cipher, proof).map_err(|_| Alert::InternalError)
        };
        let (own, other) = match end {
            End::Client => (0, 1),
            End::Server => (1, 0),
        };
        Ok((Sender::new(keys(own)?), Receiver::new(keys(other)?)))
    }

    /// What `end` proves the handshake by, of which `transcript` is the digest.
    pub(crate) fn verify(&self, end: End, transcript: &[u8; 32]) -> [u8; VERIFY] {
        let label: &[u8] = match end {
            End::Client => b"client finished",
            End::Server => b"server finished",
        };
        let mut out = [0; VERIFY];
        prf(&self.0[..], label, [transcript, &[]], &mut out);
        out
    }
}
