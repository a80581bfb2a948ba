//! Why we should believe a claim: one trait over all schemes, so that the hub asks for no scheme.

use crate::crypto::secret::Secret;

/// A kind of secret that a piece of evidence can be checked against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Want {
    /// The secret of the one device that is claimed.
    DeviceSecret,
    /// The secret that all devices of the claimed product share.
    ProductSecret,
    /// The secret of the API key that the caller names.
    AccessKeySecret,
}

/// Proof that goes with a claim: something computed from a secret we also hold.
///
/// The hub opens the secrets that [`wants`](Evidence::wants) names, in that order, and lets
/// [`check`](Evidence::check) compare. It never learns which scheme was used.
pub trait Evidence: Send + Sync {
    /// The secrets to try, best first.
    fn wants(&self) -> &[Want];

    /// Whether the evidence was made with `secret`; takes the same time for every wrong secret.
    fn check(&self, secret: &Secret) -> bool;

    /// The name of the scheme for the metric that counts which old schemes are still in use.
    fn scheme(&self) -> &'static str;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    struct Plain(Secret);

    impl Evidence for Plain {
        fn wants(&self) -> &[Want] {
            &[Want::DeviceSecret]
        }

        fn check(&self, secret: &Secret) -> bool {
            self.0.matches(secret.expose())
        }

        fn scheme(&self) -> &'static str {
            "plain"
        }
    }

    #[test]
    fn evidence_travels_as_an_object_between_threads() {
        fn travels<T: Send + Sync>(value: T) -> T {
            value
        }
        let evidence: Box<dyn Evidence> = Box::new(Plain(Secret::new(b"s".to_vec())));
        let evidence = travels(evidence);
        assert_eq!(evidence.wants(), [Want::DeviceSecret]);
        assert!(evidence.check(&Secret::new(b"s".to_vec())));
        assert!(!evidence.check(&Secret::new(b"t".to_vec())));
        assert_eq!(evidence.scheme(), "plain");
    }
}
