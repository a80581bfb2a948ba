//! How bad a vulnerability is: CVSS and words, as the five names of the report (document 000, 1.2.9).

use serde::{Deserialize, Serialize};

/// The five severities, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// 严重
    #[serde(rename = "严重")]
    Critical,
    /// 高危
    #[serde(rename = "高危")]
    High,
    /// 中危
    #[serde(rename = "中危")]
    Medium,
    /// 低危
    #[serde(rename = "低危")]
    Low,
    /// 通告
    #[serde(rename = "通告")]
    Notice,
}

impl Severity {
    /// All, in the order of the report.
    pub const ALL: [Severity; 5] = [
        Severity::Critical,
        Severity::High,
        Severity::Medium,
        Severity::Low,
        Severity::Notice,
    ];

    /// The report's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Severity::Critical => "严重",
            Severity::High => "高危",
            Severity::Medium => "中危",
            Severity::Low => "低危",
            Severity::Notice => "通告",
        }
    }

    /// The English name.
    #[must_use]
    pub fn english(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Notice => "notice",
        }
    }

    /// What a vendor's word means.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Severity> {
        Some(match word.to_ascii_lowercase().as_str() {
            "critical" => Severity::Critical,
            "high" | "important" => Severity::High,
            "medium" | "moderate" => Severity::Medium,
            "low" => Severity::Low,
            "none" => Severity::Notice,
            _ => return None,
        })
    }
}

/// A CVSS score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The standard's version: 2.0, 3.0, 3.1, 4.0.
    pub version: Box<str>,
    /// The vector.
    pub vector: Box<str>,
    /// 0 to 10.
    pub base: f32,
}

impl Score {
    /// The name for the number. The old standard knows no "critical": ten is only called so when
    /// the vulnerability is known to be exploited.
    #[must_use]
    pub fn severity(&self, exploited: bool) -> Severity {
        let old = self.version.starts_with('2');
        match self.base {
            base if base <= 0.0 => {
                if old {
                    Severity::Low
                } else {
                    Severity::Notice
                }
            }
            base if base < 4.0 => Severity::Low,
            base if base < 7.0 => Severity::Medium,
            base if old && base >= 10.0 && exploited => Severity::Critical,
            base if base < 9.0 || old => Severity::High,
            _ => Severity::Critical,
        }
    }
}
