#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| device::fuzz::given_key(data));
