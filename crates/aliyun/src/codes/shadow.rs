//! Codes of the shadow document (spec/alink-wire.md §6.2; `shadow_api.h` of the vendor's C SDK).

use hub::shadow::ShadowError;
use model::error::Fault;

/// A number, which stands in the document as text, and its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub &'static str, pub &'static str);

/// The message is no JSON object.
pub const NOT_JSON: Code = Code("400", "the message is not JSON");
/// It lacks the method.
pub const NO_METHOD: Code = Code("401", "the method is missing");
/// It lacks the state.
pub const NO_STATE: Code = Code("402", "the state is missing");
/// The version is missing or no number.
pub const BAD_VERSION: Code = Code("403", "the version is not a number");
/// It lacks what is reported.
pub const NO_REPORTED: Code = Code("404", "reported is missing in the state");
/// What is reported has no attributes.
pub const NO_ATTRIBUTES: Code = Code("405", "reported has no attributes");
/// There is no such method.
pub const BAD_METHOD: Code = Code("406", "the method is none of get, update and delete");
/// The state has nothing in it.
pub const EMPTY: Code = Code("407", "the state is empty");
/// More attributes, or longer, than allowed.
pub const TOO_MANY: Code = Code("408", "the state has too many attributes or is too large");
/// The version is not above that of the shadow.
pub const VERSION: Code = Code("409", "version conflict");
/// The device is gone.
pub const SERVER: Code = Code("500", "the server could not do it");

/// The code of a change that was refused.
///
/// # Errors
/// Our own trouble, for which the caller decides.
pub fn shadow(error: ShadowError) -> Result<Code, Fault> {
    match error {
        ShadowError::NotFound => Ok(SERVER),
        ShadowError::Version(_) => Ok(VERSION),
        ShadowError::TooManyAttributes | ShadowError::TooLarge => Ok(TOO_MANY),
        ShadowError::Fault(fault) => Err(fault),
    }
}
