#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| scan::fuzz::scan_packages(data));
