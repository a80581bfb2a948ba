#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| simulate::fuzz::simulate_told(data));
