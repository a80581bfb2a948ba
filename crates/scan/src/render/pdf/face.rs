//! The one typeface of the document: WenQuanYi Micro Hei, cut down to what reports say in Chinese and
//! English (`face.md` tells from what and how), so that a page looks the same on every machine. Letters
//! that it lacks are written as their numbers.

use std::{collections::HashMap, io::Read};

use flate2::read::GzDecoder;
use krilla::text::Font;
use skrifa::{FontRef, MetadataProvider, instance::LocationRef, instance::Size};

const PACKED: &[u8] = include_bytes!("face.ttf.gz");

pub(super) struct Face {
    pub(super) font: Font,
    /// Number of the glyph and its width in ems.
    glyphs: HashMap<char, (u32, f32)>,
}

impl Face {
    pub(super) fn read() -> Result<Face, String> {
        let mut bytes = Vec::new();
        GzDecoder::new(PACKED)
            .read_to_end(&mut bytes)
            .map_err(|error| format!("the typeface: {error}"))?;
        let glyphs = {
            let face = FontRef::new(&bytes).map_err(|error| format!("the typeface: {error}"))?;
            let metrics = face.glyph_metrics(Size::unscaled(), LocationRef::default());
            let em = f32::from(
                face.metrics(Size::unscaled(), LocationRef::default())
                    .units_per_em,
            );
            face.charmap()
                .mappings()
                .filter_map(|(code, glyph)| {
                    let width = metrics.advance_width(glyph)? / em;
                    Some((char::from_u32(code)?, (glyph.to_u32(), width)))
                })
                .collect()
        };
        let font = Font::new(bytes.into(), 0).ok_or("the typeface cannot be read")?;
        Ok(Face { font, glyphs })
    }

    /// Number and width in ems of a letter; nothing for one that it lacks.
    pub(super) fn glyph(&self, letter: char) -> Option<(u32, f32)> {
        self.glyphs.get(&letter).copied()
    }

    /// A text with nothing in it that the typeface lacks.
    pub(super) fn spelled(&self, text: &str) -> String {
        text.chars()
            .fold(String::with_capacity(text.len()), |mut out, c| {
                if self.glyphs.contains_key(&c) {
                    out.push(c);
                } else {
                    out.extend(c.escape_unicode());
                }
                out
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{risks::RISKS, rules, vulns::Severity};

    /// What reports say in their own words is all there; a stranger's letters are at least told.
    #[test]
    fn the_typeface_has_every_letter_of_ours() {
        let face = Face::read().unwrap();
        let own = RISKS.iter().flat_map(|risk| {
            [
                risk.cn,
                risk.en,
                risk.category.0,
                risk.description.0,
                risk.suggestion.0,
            ]
        });
        let own = own.chain(Severity::ALL.iter().map(|s| s.name()));
        let own = own.chain(rules::words());
        let own = own.chain([include_str!("../pdf.rs")]);
        for text in own {
            let text = text.replace('\n', " ");
            assert_eq!(face.spelled(&text), text);
        }
        assert_eq!(face.spelled("a한b😀"), "a\\u{d55c}b\\u{1f600}");
        assert_eq!(face.spelled("摄像头 жĞ"), "摄像头 жĞ");
    }
}
