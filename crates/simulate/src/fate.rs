//! What goes wrong, and with whom.

use crate::chance::Chance;

/// How a device fails when it is to be upgraded, if it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It does not.
    #[default]
    Well,
    /// The download breaks off in the middle (-2).
    Download,
    /// What came is not what was sent (-3).
    Check,
    /// It cannot be written (-4).
    Install,
    /// It is written, and the device comes back with the version that it had.
    Boot,
    /// It hears what it is told, and neither answers nor does anything.
    Silent,
}

/// What is dealt to a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lot {
    pub(crate) fate: Fate,
    /// Loses its connections once in the middle of a download, and goes on where it was.
    pub(crate) drops: bool,
}

/// Shares of devices with which something goes wrong, in percent. They add up: a device fails in
/// one way at most. So many fail, not about so many.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// Downloads that break off for good.
    pub download: f64,
    /// Files that do not come as they were sent.
    pub check: f64,
    /// Files that cannot be written.
    pub install: f64,
    /// Devices that come back with the version that they had.
    pub boot: f64,
    /// Devices that never answer.
    pub silent: f64,
    /// Devices that lose their connections once in the middle of a download; of all of them,
    /// whether or not they fail.
    pub drop: f64,
    /// How many attempts of a device fail before one goes well; all when that is not said.
    pub first: Option<u32>,
}

impl Faults {
    /// Says what is wrong with them.
    ///
    /// # Errors
    /// A share outside 0 to 100 percent, or more than 100 percent in all.
    pub fn check(&self) -> Result<(), &'static str> {
        let shares = [
            self.download,
            self.check,
            self.install,
            self.boot,
            self.silent,
        ];
        let fits = |share: &f64| (0.0..=100.0).contains(share);
        if !shares.iter().chain([&self.drop]).all(fits) {
            return Err("a share of devices is 0 to 100 percent");
        }
        match shares.iter().sum::<f64>() <= 100.0 {
            true => Ok(()),
            false => Err("more than 100 percent of the devices would fail"),
        }
    }

    pub(crate) fn deal(&self, many: usize, seed: u64) -> Vec<Lot> {
        let so_many = |percent: f64| (many as f64 * percent / 100.0).round() as usize;
        let shares = [
            (Fate::Download, self.download),
            (Fate::Check, self.check),
            (Fate::Install, self.install),
            (Fate::Boot, self.boot),
            (Fate::Silent, self.silent),
        ];
        let bad = shares
            .into_iter()
            .flat_map(|(fate, percent)| std::iter::repeat_n(fate, so_many(percent)));
        let good = std::iter::repeat(Fate::Well);
        let mut fates: Vec<Fate> = bad.chain(good).take(many).collect();
        let mut drops: Vec<bool> = (0..many).map(|at| at < so_many(self.drop)).collect();
        let mut chance = Chance::new(seed, u64::MAX);
        chance.shuffle(&mut fates);
        chance.shuffle(&mut drops);
        let lots = fates.into_iter().zip(drops);
        lots.map(|(fate, drops)| Lot { fate, drops }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_fail_as_were_wanted() {
        let faults = Faults {
            download: 1.0,
            check: 1.5,
            silent: 0.5,
            drop: 10.0,
            ..Faults::default()
        };
        let lots = faults.deal(2_000, 5);
        let count = |fate| lots.iter().filter(|lot| lot.fate == fate).count();
        assert_eq!(count(Fate::Download), 20);
        assert_eq!(count(Fate::Check), 30);
        assert_eq!(count(Fate::Silent), 10);
        assert_eq!(count(Fate::Well), 1_940);
        assert_eq!(lots.iter().filter(|lot| lot.drops).count(), 200);
        assert_eq!(lots, faults.deal(2_000, 5), "the same seed, the same lots");
        assert_ne!(lots, faults.deal(2_000, 6));
    }

    #[test]
    fn shares_are_percent_and_no_more_than_all() {
        let of = |download, check| Faults {
            download,
            check,
            ..Faults::default()
        };
        assert!(of(60.0, 40.0).check().is_ok());
        assert!(of(60.0, 40.5).check().is_err());
        assert!(of(-1.0, 0.0).check().is_err());
        assert!(of(f64::NAN, 0.0).check().is_err());
    }
}
