#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aliyun::pop::fuzz::pop_read(data));
