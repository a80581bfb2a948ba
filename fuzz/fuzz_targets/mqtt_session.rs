//! Feeds `wire::fuzz::mqtt_session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzz::mqtt_session(data));
