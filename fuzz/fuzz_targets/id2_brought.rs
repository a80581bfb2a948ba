#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| credential::fuzz::id2_brought(data));
