//! Names from images, made harmless.

/// The text of `raw` with what is not UTF-8 or a control character written as `\xNN`, so that no
/// name can play tricks on a terminal or a report.
pub(crate) fn printable(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for letter in chunk.valid().chars() {
            if letter.is_control() {
                for byte in letter.to_string().bytes() {
                    text.push_str(&format!("\\x{byte:02x}"));
                }
            } else {
                text.push(letter);
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A path inside a volume: always from its root, without `.`, `..` and empty parts.
pub(crate) fn clean(raw: &[u8]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in raw.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => _ = parts.pop(),
            part => parts.push(printable(part)),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Whether `raw` tries to leave the folder that it is unpacked in.
pub(crate) fn climbs(raw: &[u8]) -> bool {
    let mut depth = 0_i64;
    for part in raw.split(|&b| b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    false
}

/// Where a link at `from` points inside its volume, both cleaned.
pub(crate) fn resolve(from: &str, target: &str) -> String {
    if target.starts_with('/') {
        return clean(target.as_bytes());
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    clean(format!("{folder}/{target}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leaves_its_volume_or_reaches_a_terminal_raw() {
        assert_eq!(clean(b"../../etc/./passwd"), "/etc/passwd");
        assert_eq!(clean(b"a//b/../c"), "/a/c");
        assert_eq!(clean(b"a\x1b[2J\xff"), "/a\\x1b[2J\\xff");
        assert!(climbs(b"a/../../b") && !climbs(b"a/../b"));
        assert_eq!(resolve("/usr/lib/x.so", "../bin/y"), "/usr/bin/y");
        assert_eq!(resolve("/x", "../../../etc/shadow"), "/etc/shadow");
    }
}
