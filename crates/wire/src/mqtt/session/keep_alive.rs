//! How long a client may be silent.

use super::Millis;

/// The keep alive of a connection: after one and a half times its interval without a packet the client is gone
/// [MQTT-3.1.2-22] of MQTT 5, [MQTT-3.1.2-24] of 3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    /// Milliseconds; 0 is for ever.
    patience: u32,
    heard: Millis,
}

impl KeepAlive {
    /// From the seconds of a CONNECT (or of the Server Keep Alive in its place); 0 turns the check off.
    pub const fn new(seconds: u16, now: Millis) -> Self {
        Self {
            patience: seconds as u32 * 1_500,
            heard: now,
        }
    }

    /// The client sent a packet.
    pub const fn heard(&mut self, now: Millis) {
        self.heard = now;
    }

    /// When the client is gone if it stays silent; `None` is never.
    pub const fn deadline(&self) -> Option<Millis> {
        match self.patience {
            0 => None,
            patience => Some(self.heard.saturating_add(patience as Millis)),
        }
    }

    /// Whether it was silent for too long.
    pub const fn is_over(&self, now: Millis) -> bool {
        matches!(self.deadline(), Some(deadline) if now >= deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_gone_after_one_and_a_half_intervals() {
        let mut keep_alive = KeepAlive::new(60, 1_000);
        assert_eq!(keep_alive.deadline(), Some(91_000));
        assert!(!keep_alive.is_over(90_999));
        assert!(keep_alive.is_over(91_000));
        keep_alive.heard(91_000);
        assert!(!keep_alive.is_over(100_000));
        assert_eq!(KeepAlive::new(u16::MAX, 0).deadline(), Some(98_302_500));
    }

    #[test]
    fn zero_turns_the_check_off() {
        assert_eq!(KeepAlive::new(0, 0).deadline(), None);
        assert!(!KeepAlive::new(0, 0).is_over(Millis::MAX));
    }
}
