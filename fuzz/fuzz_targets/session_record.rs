#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| access::fuzz::session_record(data));
