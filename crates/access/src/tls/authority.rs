//! A certificate authority of our own, for a server that starts without certificates.
//!
//! RSA 2048 with SHA-256 throughout: what the smallest device can check (spec/stack.md "TLS").

use model::id::Time;
use openssl::{
    asn1::{Asn1Integer, Asn1Time},
    bn::{BigNum, MsbOption},
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, PKeyRef, Private},
    rsa::Rsa,
    x509::{
        X509, X509Builder, X509NameBuilder,
        extension::{
            AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage,
            SubjectAlternativeName, SubjectKeyIdentifier,
        },
    },
};
use std::net::IpAddr;
use zeroize::Zeroizing;

const BITS: u32 = 2048;
const DAY: i64 = 24 * 60 * 60 * 1000;
/// Longest common name (RFC 5280, `ub-common-name`).
const COMMON_NAME: usize = 64;

/// A private certificate authority.
pub struct Authority {
    key: PKey<Private>,
    certificate: X509,
}

/// What a server shows to its clients.
pub struct Issued {
    /// Its certificate, then the authority's, in PEM.
    pub chain_pem: Vec<u8>,
    /// Its key in PEM (PKCS#8); wiped when dropped.
    pub key_pem: Zeroizing<Vec<u8>>,
}

impl Authority {
    /// Makes an authority with a new key, for `days` from `now` on.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn create(name: &str, now: Time, days: u32) -> Result<Self, ErrorStack> {
        let key = PKey::from_rsa(Rsa::generate(BITS)?)?;
        let mut builder = certificate(name, &key, now, days)?;
        let subject = common_name(name)?;
        builder.set_issuer_name(&subject)?;
        builder.append_extension(BasicConstraints::new().critical().ca().pathlen(0).build()?)?;
        builder.append_extension(
            KeyUsage::new()
                .critical()
                .key_cert_sign()
                .crl_sign()
                .build()?,
        )?;
        identify(&mut builder, None)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self {
            key,
            certificate: builder.build(),
        })
    }

    /// An authority that was made before.
    ///
    /// # Errors
    /// OpenSSL's, when a text is not PEM.
    pub fn load(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, ErrorStack> {
        Ok(Self {
            key: PKey::private_key_from_pem(key_pem)?,
            certificate: X509::from_pem(certificate_pem)?,
        })
    }

    /// What devices must trust, in PEM.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn certificate_pem(&self) -> Result<Vec<u8>, ErrorStack> {
        self.certificate.to_pem()
    }

    /// The key in PEM (PKCS#8); wiped when dropped.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn key_pem(&self) -> Result<Zeroizing<Vec<u8>>, ErrorStack> {
        self.key.private_key_to_pem_pkcs8().map(Zeroizing::new)
    }

    /// Makes a server's key and certificate for host names and IP addresses, for `days` from `now`
    /// on. The first name becomes the common name, which is all that some devices look at.
    ///
    /// # Errors
    /// OpenSSL's.
    pub fn issue(&self, names: &[&str], now: Time, days: u32) -> Result<Issued, ErrorStack> {
        let key = PKey::from_rsa(Rsa::generate(BITS)?)?;
        Ok(Issued {
            chain_pem: self.sign(&key, names, now, days)?,
            key_pem: Zeroizing::new(key.private_key_to_pem_pkcs8()?),
        })
    }

    /// The chain for a key of the caller's.
    pub(crate) fn sign(
        &self,
        key: &PKeyRef<Private>,
        names: &[&str],
        now: Time,
        days: u32,
    ) -> Result<Vec<u8>, ErrorStack> {
        let first = names.first().copied().unwrap_or("localhost");
        let mut builder = certificate(first, key, now, days)?;
        builder.set_issuer_name(self.certificate.subject_name())?;
        builder.append_extension(BasicConstraints::new().critical().build()?)?;
        builder.append_extension(
            // Static RSA encrypts to the key, the other key exchanges sign with it.
            KeyUsage::new()
                .critical()
                .digital_signature()
                .key_encipherment()
                .build()?,
        )?;
        builder.append_extension(ExtendedKeyUsage::new().server_auth().build()?)?;
        let mut san = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<IpAddr>().is_ok() {
                san.ip(name);
            } else {
                san.dns(name);
            }
        }
        if !names.is_empty() {
            let san = san.build(&builder.x509v3_context(Some(&self.certificate), None))?;
            builder.append_extension(san)?;
        }
        identify(&mut builder, Some(&self.certificate))?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        let mut chain = builder.build().to_pem()?;
        chain.extend(self.certificate.to_pem()?);
        Ok(chain)
    }
}

/// A certificate as far as authority and server agree.
fn certificate(
    name: &str,
    key: &PKeyRef<Private>,
    now: Time,
    days: u32,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let serial: Asn1Integer = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&*common_name(name)?)?;
    builder.set_pubkey(key)?;
    // A day in the past, for devices whose clocks are behind.
    let start = Asn1Time::from_unix(now.plus(-DAY).0 / 1000)?;
    let end = Asn1Time::from_unix(now.plus(i64::from(days) * DAY).0 / 1000)?;
    builder.set_not_before(&start)?;
    builder.set_not_after(&end)?;
    Ok(builder)
}

fn common_name(name: &str) -> Result<openssl::x509::X509Name, ErrorStack> {
    let short: String = name.chars().take(COMMON_NAME).collect();
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_text("CN", &short)?;
    Ok(builder.build())
}

/// Key identifiers, by which a client finds its way up the chain.
fn identify(builder: &mut X509Builder, issuer: Option<&X509>) -> Result<(), ErrorStack> {
    let context = builder.x509v3_context(issuer.map(|issuer| &**issuer), None);
    let subject = SubjectKeyIdentifier::new().build(&context)?;
    builder.append_extension(subject)?;
    if issuer.is_some() {
        let context = builder.x509v3_context(issuer.map(|issuer| &**issuer), None);
        let authority = AuthorityKeyIdentifier::new().keyid(false).build(&context)?;
        builder.append_extension(authority)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_its_files_and_names_what_it_is_told() {
        let made = Authority::create("Muster CA", Time(1_800_000_000_000), 7300).unwrap();
        let loaded =
            Authority::load(&made.certificate_pem().unwrap(), &made.key_pem().unwrap()).unwrap();
        let issued = loaded
            .issue(
                &["iot.example", "192.0.2.7", "::1"],
                Time(1_800_000_000_000),
                825,
            )
            .unwrap();
        let chain = X509::stack_from_pem(&issued.chain_pem).unwrap();
        assert_eq!(chain.len(), 2);
        assert_eq!(
            chain[1].issued(&chain[0]),
            openssl::x509::X509VerifyResult::OK
        );
        assert!(chain[0].verify(&chain[1].public_key().unwrap()).unwrap());
        let names = chain[0].subject_alt_names().unwrap();
        assert_eq!(names[0].dnsname(), Some("iot.example"));
        assert_eq!(names[1].ipaddress(), Some(&[192, 0, 2, 7][..]));
        assert_eq!(names[2].ipaddress().map(<[u8]>::len), Some(16));
        let key = PKey::private_key_from_pem(&issued.key_pem).unwrap();
        assert!(key.public_eq(&chain[0].public_key().unwrap()));
        assert_eq!(key.bits(), BITS);
    }

    #[test]
    fn a_name_longer_than_a_common_name_is_still_an_alternative_name() {
        let long = format!("{}.example", "a".repeat(60));
        let authority = Authority::create("CA", Time(0), 1).unwrap();
        let issued = authority.issue(&[&long], Time(0), 1).unwrap();
        let certificate = X509::from_pem(&issued.chain_pem).unwrap();
        let names = certificate.subject_alt_names().unwrap();
        assert_eq!(names[0].dnsname(), Some(&*long));
    }
}
