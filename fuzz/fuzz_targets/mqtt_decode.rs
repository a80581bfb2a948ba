//! Feeds `wire::fuzz::mqtt_decode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::fuzz::mqtt_decode(data));
