//! A PostgreSQL of one's own for tests (feature `cluster`): made in a folder under the system's
//! temporary folder, reached through a socket in it, and gone with the process that started it,
//! however that ends.
#![allow(clippy::unwrap_used, reason = "for tests")]

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Makes the cluster's data; the settings are those of a server that may lose its power.
const MAKE: &str = r#"
    set -eu
    "$1/initdb" --pgdata="$2/data" --username=muster --auth=trust --encoding=UTF8 --locale=C \
        --no-sync --no-instructions >"$2/initdb.log"
    cat >>"$2/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$2'
fsync = on
synchronous_commit = on
max_connections = 300
log_min_messages = log
END
    sed -i '1i local all guarded scram-sha-256' "$2/data/pg_hba.conf"
    if [ -e "$2/server.pem" ]; then
        cat >>"$2/data/postgresql.conf" <<END
listen_addresses = '127.0.0.1'
port = $3
ssl = on
ssl_cert_file = '$2/server.pem'
ssl_key_file = '$2/server.key'
END
        sed -i '1i hostnossl all all all reject' "$2/data/pg_hba.conf"
    fi
"#;

/// What a cluster shows that is reached over TLS at an address of this machine.
pub struct Secured<'a> {
    /// Certificates as PEM, its own first.
    pub certificate: &'a [u8],
    /// Its private key as PEM.
    pub key: &'a [u8],
}

/// Runs the server until the standard input ends, which it does with the process that holds it.
const RUN: &str = r#"
    "$1/postgres" -D "$2/data" &
    server=$!
    read -r how || how=TERM
    case $how in INT|QUIT) ;; *) how=QUIT ;; esac
    kill -s "$how" $server
    wait $server
    [ "$how" = INT ] || rm -rf "$2"
"#;

/// A running cluster.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<(u32, u32)>,
    /// Where it listens besides its socket.
    port: Option<u16>,
    running: Mutex<Option<(Child, ChildStdin)>>,
    databases: AtomicUsize,
}

impl Cluster {
    /// Makes a cluster and starts it. Returns when it takes connections.
    ///
    /// # Panics
    /// When PostgreSQL is not installed (`tools/setup postgres` does it) or does not start.
    pub fn start() -> Self {
        Self::make(None)
    }

    /// The same; it also listens at `127.0.0.1`, where it takes connections over TLS only.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_secured(secured: &Secured<'_>) -> Self {
        Self::make(Some(secured))
    }

    fn make(secured: Option<&Secured<'_>>) -> Self {
        let programs = programs();
        let user = other_user();
        let folder = std::env::temp_dir().join(format!("muster-pg-{}-{}", std::process::id(), {
            static MADE: AtomicUsize = AtomicUsize::new(0);
            MADE.fetch_add(1, Ordering::Relaxed)
        }));
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o700)).unwrap();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(&folder, Some(uid), Some(gid)).unwrap();
        }
        let port = secured.map(|secured| {
            for (name, text) in [
                ("server.pem", secured.certificate),
                ("server.key", secured.key),
            ] {
                let path = folder.join(name);
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
                if let Some((uid, gid)) = user {
                    std::os::unix::fs::chown(&path, Some(uid), Some(gid)).unwrap();
                }
            }
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        });
        let cluster = Self {
            programs,
            folder,
            user,
            port,
            running: Mutex::new(None),
            databases: AtomicUsize::new(0),
        };
        let mut make = cluster.shell(MAKE);
        let made = make.args(port.map(|port| port.to_string())).status();
        let made = made.unwrap();
        assert!(made.success(), "initdb failed");
        cluster.resume();
        cluster
    }

    /// The address of a new, empty database.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(
            "postgres",
            &format!("CREATE DATABASE {name} TEMPLATE template0"),
        );
        self.address("muster", &name)
    }

    /// The address of a database for a user.
    pub fn address(&self, user: &str, database: &str) -> String {
        let folder = self.folder.display().to_string().replace('/', "%2F");
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("postgres://{user}@{folder}{port}/{database}")
    }

    /// The address of a new, empty database over TLS, by this name of the machine.
    ///
    /// # Panics
    /// When the cluster is not one of [`Cluster::start_secured`].
    pub fn secured_database(&self, host: &str) -> String {
        let near = self.database();
        let (_, name) = near.rsplit_once('/').unwrap();
        let port = self.port.expect("a cluster that listens");
        format!("postgres://muster@{host}:{port}/{name}")
    }

    /// Runs SQL with `psql` and gives back what it prints, unaligned.
    ///
    /// # Panics
    /// When it fails.
    pub fn sql(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"))
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "muster",
            ])
            .arg("-h")
            .arg(&self.folder)
            .args(["-p", &self.port.unwrap_or(5432).to_string()])
            .args(["-d", database, "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        psql.stdin
            .take()
            .unwrap()
            .write_all(sql.as_bytes())
            .unwrap();
        let output = psql.wait_with_output().unwrap();
        assert!(output.status.success(), "psql failed: {sql}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Stops the server as its operator would: connections are cut. Data stay.
    pub fn stop(&self) {
        let Some((mut shell, mut input)) = self.running.lock().unwrap().take() else {
            return;
        };
        input.write_all(b"INT\n").unwrap();
        drop(input);
        shell.wait().unwrap();
    }

    /// Starts the server again and returns when it takes connections.
    pub fn resume(&self) {
        let mut shell = self
            .shell(RUN)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let mut log = BufReader::new(shell.stderr.take().unwrap());
        let (mut line, mut told) = (String::new(), String::new());
        while !line.contains("database system is ready to accept connections") {
            line.clear();
            let read = log.read_line(&mut line).unwrap();
            assert!(read > 0, "PostgreSQL did not start:\n{told}");
            told.push_str(&line);
        }
        // Somebody has to read what it goes on to say.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        *self.running.lock().unwrap() = Some((shell, input));
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell
            .args(["-c", script, "sh"])
            .arg(&self.programs)
            .arg(&self.folder)
            .current_dir("/")
            .env("LC_ALL", "C")
            // Not killed with the tests by a Ctrl-C, so that it can clean up behind them.
            .process_group(0);
        if let Some((uid, gid)) = self.user {
            shell.uid(uid).gid(gid);
        }
        shell
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap().take();
        if let Some((mut shell, input)) = running {
            drop(input);
            let _ = shell.wait();
        } else {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Where Debian keeps the programs of the newest version that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter();
    let mut found: Vec<_> = versions
        .flatten()
        .flatten()
        .filter_map(|version| {
            let number: u32 = version.file_name().to_str()?.parse().ok()?;
            let programs = version.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((number, programs))
        })
        .collect();
    found.sort();
    let (_, programs) = found
        .pop()
        .expect("PostgreSQL is not installed; type: tools/setup postgres");
    programs
}

/// PostgreSQL refuses to run as root; then it runs as the user that its package made.
fn other_user() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let me = std::fs::metadata("/proc/self").unwrap().uid();
    if me != 0 {
        return None;
    }
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap();
    let of = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            found.then_some((uid, gid))
        })
    };
    Some(
        of("postgres")
            .or_else(|| of("nobody"))
            .expect("an unprivileged user"),
    )
}
