//! The sealing key in swtpm, a TPM 2.0 in software.
//!
//! Where it is not installed the test says so; `MUSTER_CARRIERS=1`, which `make test` sets, makes
//! that a fault.

#![cfg(feature = "tpm")]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

use credential::id2::{Id, KeyError, KeyType, SoftKey};
use device::{
    holder::{KeyHolder, Record, SLOT, Sealed, Storage},
    tpm::Tpm,
};
use std::{
    env,
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    time::{Duration, Instant},
};
use tempfile::TempDir;

struct Swtpm {
    child: Child,
    port: u16,
    _state: TempDir,
}

impl Swtpm {
    fn start() -> Swtpm {
        let state = tempfile::tempdir().unwrap();
        // It wants two ports, one after the other.
        let port = (0..100)
            .find_map(|_| {
                let one = TcpListener::bind("127.0.0.1:0").ok()?;
                let port = one.local_addr().ok()?.port();
                TcpListener::bind(("127.0.0.1", port.checked_add(1)?)).ok()?;
                Some(port)
            })
            .unwrap();
        let child = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"])
            .arg("--tpmstate")
            .arg(format!("dir={}", state.path().display()))
            .args([
                "--server",
                &format!("type=tcp,port={port},bindaddr=127.0.0.1"),
            ])
            .args([
                "--ctrl",
                &format!("type=tcp,port={},bindaddr=127.0.0.1", port + 1),
            ])
            .spawn()
            .unwrap();
        let swtpm = Swtpm {
            child,
            port,
            _state: state,
        };
        let until = Instant::now() + Duration::from_secs(20);
        // The control port answers as soon as it is open, and a visit there disturbs nobody.
        while TcpStream::connect(("127.0.0.1", port + 1)).is_err() {
            assert!(Instant::now() < until, "swtpm does not listen");
            std::thread::yield_now();
        }
        swtpm
    }

    fn tcti(&self) -> String {
        format!("swtpm:host=127.0.0.1,port={}", self.port)
    }
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Memory([Record; 2]);

impl Storage for Memory {
    fn read(&mut self, slot: u8, record: &mut Record) -> Result<(), KeyError> {
        *record = self.0[usize::from(slot)];
        Ok(())
    }

    fn write(&mut self, slot: u8, record: &Record) -> Result<(), KeyError> {
        self.0[usize::from(slot)] = *record;
        Ok(())
    }
}

#[test]
fn id_9_the_sealing_key_is_of_one_tpm_alone() {
    if Command::new("swtpm").arg("--version").output().is_err() {
        assert!(
            env::var_os("MUSTER_CARRIERS").is_none(),
            "tools/setup device installs swtpm"
        );
        eprintln!("not run: no swtpm (tools/setup device)");
        return;
    }
    assert_eq!(
        Tpm::connect("nonsense").err(),
        Some(KeyError::Communication)
    );
    let swtpm = Swtpm::start();
    let blob = {
        let mut tpm = Tpm::connect(&swtpm.tcti()).unwrap();
        tpm.seal().unwrap()
    };
    let mut tpm = Tpm::connect(&swtpm.tcti()).unwrap();
    // More often than a TPM has room for keys and sessions.
    let key = tpm.unseal(&blob).unwrap();
    for _ in 0..8 {
        assert_eq!(*tpm.unseal(&blob).unwrap(), *key);
    }
    assert!(!blob.windows(key.len()).any(|part| part == *key));
    assert_ne!(tpm.seal().unwrap(), blob);

    let id = Id::issue([1; 3], [2; 3], 7);
    let mut holder = Sealed::new(Memory([[0; SLOT]; 2]), key);
    let secret = SoftKey::new(KeyType::Aes128, &[3; 16]).unwrap();
    holder.install(&id, &secret, &[4; 12]).unwrap();
    assert_eq!(holder.open().unwrap().unwrap().0, id);

    for at in [0, 1, 2, blob.len() / 2, blob.len() - 1] {
        let mut altered = blob.clone();
        altered[at] ^= 1;
        assert_eq!(
            tpm.unseal(&altered).err(),
            Some(KeyError::BadCipher),
            "{at}"
        );
    }
    for cut in [0, 1, 2, 40, blob.len() - 1] {
        assert_eq!(tpm.unseal(&blob[..cut]).err(), Some(KeyError::BadCipher));
    }
    assert_eq!(tpm.unseal(&[0; 5000]).err(), Some(KeyError::BadCipher));
    drop(tpm);
    let other = Swtpm::start();
    let mut tpm = Tpm::connect(&other.tcti()).unwrap();
    assert_eq!(tpm.unseal(&blob).err(), Some(KeyError::BadCipher));
}
