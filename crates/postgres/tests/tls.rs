//! The way to a database over TLS: who it is has to be shown as the address says.
#![allow(clippy::unwrap_used, reason = "tests")]

use bytes::Bytes;
use model::port::{Catalog, Expect, Put};
use openssl::{
    asn1::Asn1Time,
    bn::BigNum,
    ec::{EcGroup, EcKey},
    hash::MessageDigest,
    nid::Nid,
    pkey::{PKey, Private},
    x509::{
        X509, X509Builder, X509NameBuilder,
        extension::{BasicConstraints, SubjectAlternativeName},
    },
};
use postgres::{
    Address, Options, Registry,
    cluster::{Cluster, Secured},
};
use std::{path::Path, time::Duration};

const OPTIONS: Options = Options {
    connections: 4,
    patience: Duration::from_secs(20),
};

/// A certificate of this name, of an authority or else of the host `localhost`, and its key.
fn certificate(name: &str, issuer: Option<&(X509, PKey<Private>)>) -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut made = X509Builder::new().unwrap();
    made.set_version(2).unwrap();
    let number = BigNum::from_u32(1).unwrap().to_asn1_integer().unwrap();
    made.set_serial_number(&number).unwrap();
    made.set_subject_name(&subject).unwrap();
    made.set_pubkey(&key).unwrap();
    made.set_not_before(&Asn1Time::days_from_now(0).unwrap())
        .unwrap();
    made.set_not_after(&Asn1Time::days_from_now(2).unwrap())
        .unwrap();
    let signer = match issuer {
        Some((issuer, signer)) => {
            made.set_issuer_name(issuer.subject_name()).unwrap();
            let names = SubjectAlternativeName::new()
                .dns("localhost")
                .build(&made.x509v3_context(Some(issuer), None))
                .unwrap();
            made.append_extension(names).unwrap();
            signer
        }
        None => {
            made.set_issuer_name(&subject).unwrap();
            let authority = BasicConstraints::new().critical().ca().build().unwrap();
            made.append_extension(authority).unwrap();
            &key
        }
    };
    made.sign(signer, MessageDigest::sha256()).unwrap();
    (made.build(), key)
}

async fn works(address: &str) -> Result<(), String> {
    let address = Address::parse(address).unwrap();
    let registry = Registry::open(&address, &OPTIONS).await;
    let registry = registry.map_err(|fault| fault.to_string())?;
    let put = Put {
        kind: "product",
        key: "pk".into(),
        value: Some(Bytes::from("{}")),
        expect: Expect::Anything,
    };
    Catalog::put(&*registry, vec![put]).await.unwrap();
    let found = Catalog::get(&*registry, "product", "pk").await.unwrap();
    assert!(found.is_some());
    Ok(())
}

fn write(path: &Path, certificate: &X509) -> String {
    std::fs::write(path, certificate.to_pem().unwrap()).unwrap();
    path.display().to_string()
}

/// libpq's modes: `require` encrypts; with a root certificate, and with `verify-ca`, whoever shows
/// no certificate of that root is refused; with `verify-full` it must be of the name in the address,
/// too. A refusal says what is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_over_tls_is_known_by_its_certificate() {
    let authority = certificate("an authority", None);
    let (own, key) = certificate("the database", Some(&authority));
    let cluster = Cluster::start_secured(&Secured {
        certificate: &own.to_pem().unwrap(),
        key: &key.private_key_to_pem_pkcs8().unwrap(),
    });
    let folder = tempfile::tempdir().unwrap();
    let root = write(&folder.path().join("ca.pem"), &authority.0);
    let (other, _) = certificate("another authority", None);
    let other = write(&folder.path().join("other.pem"), &other);

    let address = |host: &str, query: &str| format!("{}?{query}", cluster.secured_database(host));
    for (host, query) in [
        ("localhost", String::new()),
        ("127.0.0.1", "sslmode=require".into()),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={root}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={root}")),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={root}"),
        ),
    ] {
        let worked = works(&address(host, &query)).await;
        assert_eq!(worked, Ok(()), "{host} {query}");
    }
    for (host, query, says) in [
        ("localhost", "sslmode=disable".into(), "no encryption"),
        ("localhost", "sslmode=verify-ca".into(), "certificate"),
        (
            "localhost",
            format!("sslmode=require&sslrootcert={other}"),
            "certificate",
        ),
        (
            "localhost",
            format!("sslmode=verify-full&sslrootcert={other}"),
            "certificate",
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full&sslrootcert={root}"),
            "mismatch",
        ),
    ] {
        let refused = works(&address(host, &query)).await.unwrap_err();
        assert!(refused.contains(says), "{host} {query}: {refused}");
    }
}
