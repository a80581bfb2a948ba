//! A file for one receiver: CMS (RFC 5652), authenticated as of RFC 5083, which
//! `openssl cms -decrypt` opens.

use super::secret::Secret;
use alloc::string::String;
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    cms::{CMSOptions, CmsContentInfo},
    hash::MessageDigest,
    nid::Nid,
    pkey::{Id, PKey},
    rsa::Rsa,
    stack::Stack,
    symm::Cipher,
    x509::{X509, X509Name},
};

/// Smallest RSA key of a receiver, in bits.
const BITS: u32 = 2048;

/// The certificate is none, or something cannot be closed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvelopeError;

impl From<openssl::error::ErrorStack> for EnvelopeError {
    fn from(_: openssl::error::ErrorStack) -> Self {
        Self
    }
}

/// Who may open a file.
pub struct Receiver(X509);

impl Receiver {
    /// From a certificate as PEM, with an RSA key of 2,048 bits or more.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, EnvelopeError> {
        let certificate = X509::from_pem(pem)?;
        let key = certificate.public_key()?;
        if key.id() == Id::RSA && key.bits() >= BITS {
            Ok(Self(certificate))
        } else {
            Err(EnvelopeError)
        }
    }

    /// Closes `plain` with AES-256-GCM; gives PEM.
    ///
    /// # Errors
    /// [`EnvelopeError`].
    pub fn close(&self, plain: &Secret) -> Result<String, EnvelopeError> {
        let mut receivers = Stack::new()?;
        receivers.push(self.0.clone())?;
        let closed = CmsContentInfo::encrypt(
            &receivers,
            plain.expose(),
            Cipher::aes_256_gcm(),
            CMSOptions::BINARY,
        )?;
        String::from_utf8(closed.to_pem()?).map_err(|_| EnvelopeError)
    }
}

/// Opens a file with the receiver's private key, both as PEM.
///
/// # Errors
/// [`EnvelopeError`].
pub fn open(pem: &[u8], key: &[u8]) -> Result<Secret, EnvelopeError> {
    let closed = CmsContentInfo::from_pem(pem)?;
    let key = PKey::private_key_from_pem(key)?;
    Ok(Secret::new(closed.decrypt_without_cert_check(&key)?))
}

/// A certificate and its private key as PEM, made anew for a receiver of this name; good for so
/// many days.
///
/// # Errors
/// [`EnvelopeError`].
pub fn pair(name: &str, days: u32) -> Result<(String, String), EnvelopeError> {
    let key = PKey::from_rsa(Rsa::generate(BITS)?)?;
    let mut subject = X509Name::builder()?;
    subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
    let name = subject.build();
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*BigNum::from_u32(1)?.to_asn1_integer()?)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(&key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(days)?)?;
    builder.sign(&key, MessageDigest::sha256())?;
    let text = |pem| String::from_utf8(pem).map_err(|_| EnvelopeError);
    let certificate = text(builder.build().to_pem()?)?;
    Ok((certificate, text(key.private_key_to_pem_pkcs8()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [ID-9] A file opens for its receiver alone, and one that was changed opens for nobody.
    #[test]
    fn a_file_opens_for_its_receiver_and_unchanged() {
        let (certificate, key) = pair("line", 1).unwrap();
        let (_, other) = pair("line", 1).unwrap();
        let receiver = Receiver::from_pem(certificate.as_bytes()).unwrap();
        let plain = Secret::new(b"keys of a line".to_vec());
        let closed = receiver.close(&plain).unwrap();
        let opened = open(closed.as_bytes(), key.as_bytes()).unwrap();
        assert!(opened.matches(b"keys of a line"));
        let stranger = open(closed.as_bytes(), other.as_bytes());
        assert!(stranger.is_err() || !stranger.unwrap().matches(b"keys of a line"));
        let mut changed = CmsContentInfo::from_pem(closed.as_bytes())
            .unwrap()
            .to_der()
            .unwrap();
        let last = changed.len() - 1;
        changed[last] ^= 1;
        let changed = CmsContentInfo::from_der(&changed).and_then(|cms| cms.to_pem());
        assert!(changed.is_err() || open(&changed.unwrap(), key.as_bytes()).is_err());
        assert!(Receiver::from_pem(key.as_bytes()).is_err());
    }
}
