//! Feeds `wire::fuzz::topic_parse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzz::topic_parse(data));
