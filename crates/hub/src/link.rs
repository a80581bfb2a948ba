//! Links: addresses at which a device fetches a file without a login, for a while.
//!
//! A link names the file and when it ends, under a MAC of a key of the server's; nothing is kept
//! for it. Make one with [`Hub::link`]; the server answers it with `link_open` and `link_read`.

use crate::Hub;
use bytes::Bytes;
use credential::crypto::{
    digest::Hash,
    hmac::{hmac, same_hex},
};
use model::{error::Fault, id::Time, port::BlobWriter};

/// Where links lead, below the server's address.
pub const PATH: &str = "/download";
/// Keeps a MAC made here from meaning anything elsewhere.
const LABEL: &str = "download link";

/// Why a link is refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// It was altered, or never made here.
    #[error("the link is not whole or was altered")]
    Forged,
    /// Its time is over.
    #[error("the link has expired")]
    Expired,
    /// The file is gone.
    #[error("the file is not there any more")]
    Gone,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl Hub {
    /// Says under which address (scheme, host and port) this server is found; to be called once,
    /// before the first link is made.
    pub fn links_at(&self, address: String) {
        // Only the first one counts; there is one server in a process.
        let _ = self.links_at.set(address);
    }

    /// The address under which this server is found.
    pub fn links_from(&self) -> &str {
        self.links_at.get().map_or("", String::as_str)
    }

    /// The address of a file of `Blobs`, good for `limits.link_life` from now on (seed 001 §4: 24
    /// hours).
    pub fn link(&self, blob: &str) -> String {
        let life = self.limits.link_life / 1000;
        let expires = (self.now().0 / 1000).saturating_add(life);
        let base = self.links_from();
        let signature = hex(&self.link_mac(blob, expires));
        format!("{base}{PATH}/{blob}?Expires={expires}&Signature={signature}")
    }

    /// Checks a link; gives the file's size. `expires` is in seconds since 1970.
    ///
    /// # Errors
    /// `LinkError`; `Expired` only for a link that was genuine.
    pub async fn link_open(
        &self,
        blob: &str,
        expires: i64,
        signature: &str,
    ) -> Result<u64, LinkError> {
        if !same_hex(&self.link_mac(blob, expires), signature) {
            return Err(LinkError::Forged);
        }
        if self.now() >= Time(expires.saturating_mul(1000)) {
            return Err(LinkError::Expired);
        }
        self.ports.blobs.size(blob).await?.ok_or(LinkError::Gone)
    }

    /// Begins a file that links may lead to. Names are 1 to 64 lower-case letters, digits and `-`;
    /// begin yours with what it is for.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn blob_create(&self, name: &str) -> Result<Box<dyn BlobWriter>, Fault> {
        self.ports.blobs.create(name).await
    }

    /// Some bytes of a file whose link was opened.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn link_read(&self, blob: &str, from: u64, most: usize) -> Result<Bytes, Fault> {
        self.ports.blobs.read(blob, from, most).await
    }

    fn link_mac(&self, blob: &str, expires: i64) -> Vec<u8> {
        let text = format!("{LABEL}\0{blob}\0{expires}");
        hmac(Hash::Sha256, &self.token_key, text.as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::Stage;

    fn parts(link: &str) -> (String, i64, String) {
        let (_, rest) = link.split_once("/download/").unwrap();
        let (blob, query) = rest.split_once("?Expires=").unwrap();
        let (expires, signature) = query.split_once("&Signature=").unwrap();
        (
            blob.to_owned(),
            expires.parse().unwrap(),
            signature.to_owned(),
        )
    }

    /// [AL-4.2] A link is good for 24 hours, and only as it was made.
    #[tokio::test]
    async fn a_link_opens_its_file_for_a_day() {
        let stage = Stage::set().await;
        let hub = &stage.hub;
        hub.links_at("https://muster.example:8443".into());
        let mut writer = stage.ports.blobs.create("abc").await.unwrap();
        writer.write(Bytes::from_static(b"firmware")).await.unwrap();
        writer.finish().await.unwrap();

        let link = hub.link("abc");
        assert!(link.starts_with("https://muster.example:8443/download/abc?Expires="));
        let (blob, expires, signature) = parts(&link);
        assert_eq!(hub.link_open(&blob, expires, &signature).await.unwrap(), 8);
        assert_eq!(&hub.link_read(&blob, 4, 100).await.unwrap()[..], b"ware");
        for (blob, expires, signature) in [
            ("abd", expires, signature.as_str()),
            ("abc", expires + 1, &signature),
            ("abc", expires, &signature[1..]),
            ("abc", expires, ""),
            ("abc", i64::MAX, &signature),
        ] {
            let refused = hub.link_open(blob, expires, signature).await;
            assert!(matches!(refused, Err(LinkError::Forged)), "{refused:?}");
        }
        stage.clock.move_by(24 * 60 * 60 * 1000 - 1);
        assert!(hub.link_open(&blob, expires, &signature).await.is_ok());
        stage.clock.move_by(1);
        let late = hub.link_open(&blob, expires, &signature).await;
        assert!(matches!(late, Err(LinkError::Expired)));

        let (blob, expires, signature) = parts(&hub.link("none"));
        let gone = hub.link_open(&blob, expires, &signature).await;
        assert!(matches!(gone, Err(LinkError::Gone)));
    }
}
