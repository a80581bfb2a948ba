//! Fuzz body: what reading a request promises for any bytes.

use super::{
    render,
    request::{self, Arrived},
};
use crate::iot;

/// Bytes as method, query, one header block and body, parted by NULs. Whatever they are: no
/// panic; an answer that can be written; and every parameter that is read is one that was sent.
pub fn pop_read(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == 0);
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (method, query, headers) = (text(), text(), text());
    let body = parts.next().unwrap_or_default();
    let headers: Vec<(String, String)> = headers
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let arrived = Arrived {
        method: &method,
        path: "/",
        query: &query,
        headers: &headers,
        body,
    };
    let (format, request) = request::read(&arrived);
    let refusal = match request {
        Err(error) => Some(error),
        Ok(request) => {
            for action in iot::actions().chain(crate::id2::ROWS) {
                let _ = iot::Params::read(action, &request.pairs);
            }
            let refusal = request.proof(&arrived).err();
            assert!(!request.action.is_empty() && !request.version.is_empty());
            refusal.or_else(|| iot::find(&request.version, &request.action).err())
        }
    };
    if let Some(error) = refusal {
        let tree = render::refused("0", &arrived.host(), &error);
        assert!(!render::body(format, "Error", &tree).is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pop::request::samples;

    /// A few thousand neighbours of valid requests.
    #[test]
    fn mutated_requests_do_no_harm() {
        let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % 65_536).expect("16 bits fit")
        };
        for sample in samples::all() {
            let headers: String = sample
                .headers
                .iter()
                .map(|(name, value)| format!("{name}:{value}\n"))
                .collect();
            let good = [
                sample.method.as_bytes(),
                sample.query.as_bytes(),
                headers.as_bytes(),
                sample.body.as_bytes(),
            ]
            .join(&0);
            pop_read(&good);
            for _ in 0..400 {
                let mut bad = good.clone();
                for _ in 0..=next() % 4 {
                    let at = next() % bad.len().max(1);
                    match next() % 4 {
                        0 => bad.truncate(at),
                        1 => bad.insert(at.min(bad.len()), (next() % 256) as u8),
                        _ if at < bad.len() => bad[at] = (next() % 256) as u8,
                        _ => bad.push(b'%'),
                    }
                }
                pop_read(&bad);
            }
        }
    }
}
