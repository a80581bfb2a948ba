#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| itls::fuzz::server(data));
