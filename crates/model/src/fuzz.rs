//! Fuzz bodies: what must hold for any bytes from outside.

use serde_json::Value;

use crate::thing::{
    MAX_DOCUMENT_BYTES, Pick, Tsl, fit_event, fit_settable, from_model_json, sift_properties,
};

/// A thing-model document on the first line, in either form, and what a device posts on the
/// second. Whatever is read must read the same once written, and what is kept must fit again.
pub fn tsl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (document, posted) = text.split_once('\n').unwrap_or((text, "{}"));
    // Writing says some things twice, so only short documents stay below the reader's bound.
    let short = document.len() < MAX_DOCUMENT_BYTES / 16;
    if let (true, Ok(functions)) = (short, from_model_json(document)) {
        let tsl = Tsl {
            main: functions,
            blocks: Vec::new(),
        };
        let written = tsl
            .to_model_json("pk", None, None, Pick::All)
            .map(|json| json.to_string());
        let read = written.map(|json| from_model_json(&json));
        assert_eq!(read, Some(Ok(tsl.main)));
    }
    let Ok(tsl) = Tsl::read(document) else { return };
    assert_eq!(
        Tsl::parse(&tsl.to_document("pk", Some("1"), false)).as_ref(),
        Ok(&tsl)
    );
    assert!(Tsl::parse(&tsl.to_document("pk", None, true)).is_ok());
    let Ok(posted) = serde_json::from_str::<Value>(posted) else {
        return;
    };
    for event in &tsl.main.events {
        let _ = fit_event(&tsl, &event.identifier, &posted, 0);
    }
    if let Value::Object(posted) = &posted {
        let sifted = sift_properties(&tsl, posted, 0);
        assert_eq!(sifted.kept.len() + sifted.dropped.len(), posted.len());
        for kept in sifted.kept {
            let property = tsl.property(&kept.identifier).expect("it was kept");
            assert_eq!(
                crate::thing::fit(&property.data, &kept.value),
                Ok(kept.value.clone())
            );
        }
        let _ = fit_settable(&tsl, posted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thing::samples;

    /// Small generator, so that a failure can be repeated.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, bound: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % bound as u64).expect("below a usize")
        }
    }

    #[test]
    fn mutated_documents_and_posts_harm_nobody() {
        // [AL-6.12] [AL-6.3]
        let post =
            r#"{"Level":{"value":7,"time":1},"Sample":{"value":3,"time":"9"},"Path":[{"x":1}]}"#;
        let other = samples::rich().to_model_json("pk", None, None, Pick::All);
        let rich = samples::RICH.replace('\n', " ");
        let other = other.expect("there").to_string();
        let seeds = [format!("{rich}\n{post}"), format!("{other}\n{post}")];
        let scraps: [&[u8]; 8] = [
            b"\"",
            b"{",
            b"]",
            b"null",
            b"1e999",
            b"\"value\"",
            b"-1",
            b"\"type\":\"array\"",
        ];
        let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
        for round in 0..4000 {
            let mut bytes = seeds[round % seeds.len()].clone().into_bytes();
            for _ in 0..=dice.below(3) {
                let at = dice.below(bytes.len());
                match dice.below(4) {
                    0 => bytes[at] = b"0123456789\"{}[],:xr"[dice.below(19)],
                    1 => bytes.truncate(at.max(1)),
                    2 => {
                        let end = (at + dice.below(40)).min(bytes.len());
                        bytes.drain(at..end);
                        bytes.push(b' ');
                    }
                    _ => {
                        let scrap = scraps[dice.below(scraps.len())];
                        bytes.splice(at..at, scrap.iter().copied());
                    }
                }
            }
            tsl(&bytes);
        }
        tsl(seeds[0].as_bytes());
        tsl(seeds[1].as_bytes());
    }
}
