#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| aliyun::device::fuzz::alink_gateway(data));
