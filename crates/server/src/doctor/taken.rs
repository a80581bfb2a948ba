//! Who has a port, as far as /proc shows it.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The state of a socket that listens (tcp_states.h).
const LISTENING: &str = "0A";

/// The process that listens on a port: its id and name. None when /proc does not show it, as it
/// does not for processes of other users.
pub(super) fn owner(address: SocketAddr) -> Option<(u32, String)> {
    let port = address.port();
    let sockets: Vec<u64> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| inodes(&text, port))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if holds(&entry.path(), &sockets) {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            return Some((pid, name.trim().to_owned()));
        }
    }
    None
}

/// The inodes of the sockets that listen on `port`, from the kernel's table (proc(5)).
fn inodes(table: &str, port: u16) -> Vec<u64> {
    let local = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let ours = columns.get(1)?.ends_with(&local) && *columns.get(3)? == LISTENING;
            ours.then(|| columns.get(9)?.parse().ok())?
        })
        .collect()
}

fn holds(process: &Path, sockets: &[u64]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else {
        return false;
    };
    let links = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok());
    links.into_iter().any(|link: PathBuf| {
        let text = link.to_string_lossy();
        let inode = text
            .strip_prefix("socket:[")
            .and_then(|rest| rest.strip_suffix(']'));
        inode
            .and_then(|inode| inode.parse().ok())
            .is_some_and(|inode: u64| sockets.contains(&inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn the_process_that_listens_is_named() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (pid, name) = owner(address).unwrap();
        assert_eq!(pid, std::process::id());
        assert!(!name.is_empty());
        drop(listener);
        assert_eq!(owner(address), None);
    }

    #[test]
    fn lines_that_are_none_are_passed_over() {
        let table = "  sl  local_address\n   0: 0100007F:075B 00000000:0000 0A 0:0 0:0 0 0 0 4711 1\n   1: 0100007F:075B 0:0 01 0:0 0:0 0 0 0 4712 1\nnonsense\n";
        assert_eq!(inodes(table, 1883), [4711]);
        assert_eq!(inodes(table, 1884), [0; 0]);
    }
}
