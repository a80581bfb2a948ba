//! From pointers of C to slices and back. Nothing here trusts a length that it could check.

use core::{ffi::c_char, slice};
use device::id2::result;

/// Why arguments are refused, as the function's result.
pub type Refused = i32;

/// `len` bytes that C promises to be readable.
///
/// # Errors
/// `BAD_PARAMETERS` for a null pointer.
///
/// # Safety
/// A pointer that is not null points to `len` readable bytes that nobody changes meanwhile.
pub unsafe fn bytes<'a>(at: *const u8, len: u32) -> Result<&'a [u8], Refused> {
    if at.is_null() {
        return Err(result::BAD_PARAMETERS);
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { slice::from_raw_parts(at, len as usize) })
}

/// `len` bytes to write into. They are set to zero first, because C may never have written them.
///
/// # Errors
/// `BAD_PARAMETERS` for a null pointer.
///
/// # Safety
/// A pointer that is not null points to `len` writable bytes that nobody else uses meanwhile.
pub unsafe fn room<'a>(at: *mut u8, len: usize) -> Result<&'a mut [u8], Refused> {
    if at.is_null() {
        return Err(result::BAD_PARAMETERS);
    }
    // SAFETY: the caller's promise; after the first line all bytes are initialised.
    unsafe {
        at.write_bytes(0, len);
        Ok(slice::from_raw_parts_mut(at, len))
    }
}

/// The text before the NUL, which is looked for in `most` + 1 bytes and no further.
///
/// # Errors
/// `BAD_PARAMETERS` for a null pointer, `too_long` when there is no NUL.
///
/// # Safety
/// A pointer that is not null points to a text that ends with NUL or has more than `most` bytes.
pub unsafe fn text<'a>(
    at: *const c_char,
    most: usize,
    too_long: Refused,
) -> Result<&'a [u8], Refused> {
    if at.is_null() {
        return Err(result::BAD_PARAMETERS);
    }
    let at = at.cast::<u8>();
    for len in 0..=most {
        // SAFETY: no NUL came before, so that this byte is still of the text.
        if unsafe { *at.add(len) } == 0 {
            // SAFETY: these bytes were just read.
            return Ok(unsafe { slice::from_raw_parts(at, len) });
        }
    }
    Err(too_long)
}

/// Refuses places that overlap: what is written must not be what is read.
///
/// # Errors
/// `BAD_PARAMETERS`.
pub fn apart(one: (*const u8, usize), other: (*const u8, usize)) -> Result<(), Refused> {
    let (a, b) = (one.0.addr(), other.0.addr());
    if one.1 == 0 || other.1 == 0 || a.abs_diff(b) >= if a < b { one.1 } else { other.1 } {
        Ok(())
    } else {
        Err(result::BAD_PARAMETERS)
    }
}

/// Runs the body of a function that C called. A panic must not run into C's frames.
pub fn guard(body: impl FnOnce() -> Result<(), Refused>) -> i32 {
    #[cfg(feature = "std")]
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body))
        .unwrap_or(Err(result::GENERIC));
    #[cfg(not(feature = "std"))]
    let done = body();
    match done {
        Ok(()) => result::SUCCESS,
        Err(refused) => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_seen_at_both_ends() {
        let bytes = [0; 32];
        let at = |from: usize, len: usize| (bytes[from..].as_ptr(), len);
        for (one, other, good) in [
            (at(0, 8), at(8, 8), true),
            (at(0, 9), at(8, 8), false),
            (at(8, 8), at(0, 8), true),
            (at(8, 8), at(0, 9), false),
            (at(4, 4), at(0, 32), false),
            (at(4, 0), at(0, 32), true),
        ] {
            assert_eq!(apart(one, other).is_ok(), good);
        }
    }

    #[test]
    fn a_panic_is_a_number() {
        let quiet = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        assert_eq!(guard(|| panic!("a bug")), -1);
        std::panic::set_hook(quiet);
        assert_eq!(guard(|| Ok(())), 0);
        assert_eq!(guard(|| Err(-3)), -3);
    }
}
