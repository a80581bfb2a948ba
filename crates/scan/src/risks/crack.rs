//! Tries a hash of crypt(3) with passwords that devices are delivered with: DES, MD5, SHA-256, SHA-512,
//! bcrypt and yescrypt. How much is tried follows from what a try costs, and an image has one budget
//! for all of its hashes, whatever rounds they ask for.

use std::cell::Cell;

use pwhash::{bcrypt, md5_crypt, sha256_crypt, sha512_crypt, unix_crypt};
use yescrypt::{PasswordHashRef, PasswordVerifier, Yescrypt};

/// Passwords that devices are delivered with, the commonest first; the account's name comes before
/// them.
const COMMON: &[&str] = &[
    "root",
    "admin",
    "password",
    "1234",
    "12345",
    "123456",
    "12345678",
    "default",
    "guest",
    "user",
    "toor",
    "pass",
    "support",
    "system",
    "service",
    "supervisor",
    "manager",
    "public",
    "private",
    "test",
    "ftp",
    "nobody",
    "ubnt",
    "alpine",
    "openwrt",
    "anko",
    "juantech",
    "xc3511",
    "vizxv",
    "hi3518",
    "jvbzd",
    "klv123",
    "klv1234",
    "xmhdipc",
    "cat1029",
    "tlJwpbo6",
    "Zte521",
    "zlxx.",
    "7ujMko0admin",
    "7ujMko0vizxv",
    "dreambox",
    "ikwb",
    "realtek",
    "00000000",
    "1111",
    "1111111",
    "54321",
    "666666",
    "888888",
    "123",
    "4321",
    "smcadmin",
    "meinsm",
    "fucker",
    "tech",
    "oelinux123",
    "hichiphx",
    "GM8182",
    "a1sev5y7c39k",
    "2011vsta",
    "changeme",
    "letmein",
    "qwerty",
    "abc123",
    "admin123",
    "admin1234",
    "root123",
    "pass1234",
];

/// What one hash may cost; a try of MD5 is 1.
const HASH: u64 = 600;
/// What all hashes of an image may cost together.
const IMAGE: u64 = 20_000;

/// What may still be spent on an image.
pub(crate) struct Budget(Cell<u64>);

impl Default for Budget {
    fn default() -> Budget {
        Budget(Cell::new(IMAGE))
    }
}

/// How a password is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scheme {
    Des,
    Md5,
    Sha256,
    Sha512,
    Bcrypt,
    Yescrypt,
}

impl Scheme {
    pub(super) fn of(hash: &str) -> Option<Scheme> {
        let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
        match hash.split('$').nth(1) {
            Some("1") => Some(Scheme::Md5),
            Some("5") => Some(Scheme::Sha256),
            Some("6") => Some(Scheme::Sha512),
            Some("2a" | "2b" | "2y") => Some(Scheme::Bcrypt),
            Some("y") => Some(Scheme::Yescrypt),
            None if hash.len() == 13 && hash.bytes().all(letters) => Some(Scheme::Des),
            _ => None,
        }
    }

    /// The name of one that is broken.
    pub(super) fn weak(self) -> Option<&'static str> {
        match self {
            Scheme::Des => Some("DES crypt"),
            Scheme::Md5 => Some("MD5 crypt"),
            Scheme::Sha256 | Scheme::Sha512 | Scheme::Bcrypt | Scheme::Yescrypt => None,
        }
    }

    /// What a try costs; nothing where it cannot be told, so that it is not tried.
    fn cost(self, hash: &str) -> Option<u64> {
        let asked = hash.split('$').nth(2)?;
        match self {
            Scheme::Des | Scheme::Md5 => Some(1),
            Scheme::Sha256 | Scheme::Sha512 => match asked.strip_prefix("rounds=") {
                None => Some(6),
                Some(rounds) => Some((rounds.parse::<u64>().ok()? / 800).max(1)),
            },
            Scheme::Bcrypt => 1_u64.checked_shl(asked.parse().ok()?).map(|n| n / 4),
            // What distributions use: 4096 blocks of 4 KiB (crypt(5)).
            Scheme::Yescrypt => (asked == "j9T").then_some(60),
        }
    }

    fn fits(self, password: &str, hash: &str) -> bool {
        match self {
            Scheme::Des => unix_crypt::verify(password, hash),
            Scheme::Md5 => md5_crypt::verify(password, hash),
            Scheme::Sha256 => sha256_crypt::verify(password, hash),
            Scheme::Sha512 => sha512_crypt::verify(password, hash),
            Scheme::Bcrypt => bcrypt::verify(password, hash),
            Scheme::Yescrypt => PasswordHashRef::new(hash).is_ok_and(|hash| {
                Yescrypt::default()
                    .verify_password(password.as_bytes(), hash)
                    .is_ok()
            }),
        }
    }
}

/// Whether a password that is kept in the clear is the account's name or a common one.
pub(super) fn is_common(name: &str, password: &str) -> bool {
    password == name || COMMON.contains(&password)
}

/// The password of a hash if it is the account's name, empty, or a common one.
pub(super) fn guess<'a>(name: &'a str, hash: &str, budget: &Budget) -> Option<&'a str> {
    let scheme = Scheme::of(hash)?;
    let cost = match scheme {
        Scheme::Des => 1,
        other => other.cost(hash)?.max(1),
    };
    let mut left = HASH.min(budget.0.get());
    let mut tries = [name, ""].into_iter().chain(COMMON.iter().copied());
    tries.find_map(|password| {
        left = left.checked_sub(cost)?;
        budget.0.set(budget.0.get().saturating_sub(cost));
        scheme.fits(password, hash).then_some(password)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// As `openssl passwd`, `mkpasswd` and Perl's crypt() print them.
    #[test]
    fn hashes_of_common_passwords_are_recognised() {
        for (hash, scheme, password) in [
            ("saZEdeIg6m5CQ", Scheme::Des, "xc3511"),
            (
                "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a.",
                Scheme::Md5,
                "password",
            ),
            (
                "$5$saltsalt$ajilCybiF3oQBEfeTHO1rkbsmz9HcJplt.gHWXkRfD4",
                Scheme::Sha256,
                "admin",
            ),
            (
                "$6$saltsalt$ZxoUf1bJzACFdk9GZkBGmxXd3Rq8nUoGjgon4GVoI91SlW41Ew2djlh60PmWr4flwags.7ULrKVSSmnCEsIOj1",
                Scheme::Sha512,
                "admin",
            ),
            (
                "$2b$05$abcdefghijklmnopqrstuuV2lmZSlg12FQgc5cJlKcm9nBvnWgizO",
                Scheme::Bcrypt,
                "1234",
            ),
            (
                "$y$j9T$LdJMENpBABJJ3hIHjB1Bi.$2Dxk4EtOSLpUJTNhHM3gxp9o2ZIbjz2suIeN71LdwG.",
                Scheme::Yescrypt,
                "root",
            ),
        ] {
            assert_eq!(Scheme::of(hash), Some(scheme), "{hash}");
            let budget = Budget::default();
            assert_eq!(guess("root", hash, &budget), Some(password), "{hash}");
        }
        let budget = Budget::default();
        assert_eq!(
            guess("root", "$1$xxxxxxxx$aaaaaaaaaaaaaaaaaaaaaa", &budget),
            None
        );
        for none in [
            "",
            "x",
            "*",
            "!!",
            "$",
            "$9$a$b",
            "$y$",
            "$6$",
            "$6$rounds=x$a$b",
            "$2b$$",
        ] {
            assert_eq!(guess("root", none, &budget), None, "{none}");
        }
    }

    /// A hash that asks for years of work, and an image full of them, cost little.
    #[test]
    fn what_is_tried_is_bounded() {
        let begun = Instant::now();
        let budget = Budget::default();
        for hash in [
            "$6$rounds=999999999$salt$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "$2b$31$abcdefghijklmnopqrstuuqPYbQx5sgSkJlfVZ1VtcFP8zUKlV2qG",
            "$2b$99$abcdefghijklmnopqrstuuqPYbQx5sgSkJlfVZ1VtcFP8zUKlV2qG",
            "$y$jzT$LdJMENpBABJJ3hIHjB1Bi.$HboGM6qPrsK.StKYGt6KErmUYtioHreJd98oIugoNB6",
        ] {
            assert_eq!(guess("root", hash, &budget), None, "{hash}");
        }
        assert_eq!(budget.0.get(), IMAGE, "none of them was tried");
        for n in 0..2_000 {
            guess(
                "root",
                &format!("$1$salt{n}$aaaaaaaaaaaaaaaaaaaaaa"),
                &budget,
            );
        }
        assert_eq!(budget.0.get(), 0);
        assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
    }
}
