//! YARA rules that an operator brings: what of an image they are about. Compiled and evaluated by
//! boreal, which keeps to YARA's language and needs no other library.

use std::time::Duration;

use boreal::{
    Compiler, MetadataValue, Scanner,
    compiler::CompilerParams,
    scanner::{EvaluatedRule, ScanParams},
};

use crate::{
    identify::Confidence,
    path,
    risks::{Finding, detail},
    unpack::Unpacked,
};

/// All rules together may look at one file so long.
const ONE: Duration = Duration::from_secs(10);
/// Hits of one rule that are told of one file.
const TOLD: u32 = 5;

/// Compiled rules.
pub struct Yara {
    scanner: Scanner,
}

impl Yara {
    /// Compiles rules, each text with a name for it. A rule cannot include other files.
    ///
    /// # Errors
    /// In words that name the text and the place.
    pub fn compile<'a>(
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, String> {
        let mut compiler = Compiler::new();
        compiler.set_params(CompilerParams::default().disable_includes(true));
        for (name, text) in texts {
            let added = compiler.add_rules_str_in_namespace(text, name);
            added.map_err(|error| format!("{name}: {error}"))?;
        }
        let mut scanner = compiler.finalize();
        scanner.set_scan_params(
            ScanParams::default()
                .compute_full_matches(true)
                .string_max_nb_matches(TOLD)
                .match_max_length(64)
                .timeout_duration(Some(ONE)),
        );
        Ok(Yara { scanner })
    }

    /// Looks at every file, and at what nothing claims; `stop` is asked before each.
    pub(crate) fn look(&self, image: &Unpacked, stop: &dyn Fn() -> bool, found: &mut Vec<Finding>) {
        // What is packed is looked at unpacked.
        let files = image.files.iter().filter(|file| !file.opened);
        let files = files.filter_map(|file| Some((image.chain(file), file.bytes()?, 0)));
        let regions = image.regions.iter();
        let regions = regions.map(|r| (r.chain.clone(), &r.bytes, r.offset));
        for (chain, bytes, offset) in files.chain(regions) {
            if stop() {
                return;
            }
            // Who takes too long has told what was found until then.
            let told = self
                .scanner
                .scan_mem(bytes)
                .unwrap_or_else(|(_, told)| told);
            for rule in &told.rules {
                found.push(self.finding(&chain, offset, rule));
            }
        }
    }

    fn finding(&self, chain: &str, offset: usize, rule: &EvaluatedRule<'_>) -> Finding {
        let mut tags = rule
            .tags
            .iter()
            .map(|tag| self.scanner.get_string_symbol(*tag));
        let code = match tags.any(|tag| tag.eq_ignore_ascii_case("backdoor")) {
            true => "BackdoorPattern",
            false => "Malware",
        };
        let name = format!("{}:{}", rule.namespace, rule.name);
        let mut details = vec![detail("规则", "rule", [path::printable(name.as_bytes())])];
        let described = rule.metadatas.iter().find_map(|data| match data.value {
            MetadataValue::Bytes(text)
                if self.scanner.get_string_symbol(data.name) == "description" =>
            {
                Some(path::printable(self.scanner.get_bytes_symbol(text)))
            }
            _ => None,
        });
        details.extend(described.map(|text| detail("说明", "description", [text])));
        let places = rule.matches.iter().flat_map(|string| &string.matches);
        let places: Vec<String> = places
            .take(TOLD as usize)
            .map(|hit| format!("{:#x} {}", offset + hit.offset, path::printable(&hit.data)))
            .collect();
        if !places.is_empty() {
            details.push(detail("证据", "evidence", places));
        }
        Finding::new(code, chain, details).sure(Confidence::Medium)
    }
}
