//! Names of the Common Platform Enumeration 2.3 (NIST IR 7695): thirteen fields between colons.

/// The fields that count here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpe {
    /// `a`, `o` or `h`.
    pub part: char,
    /// Vendor.
    pub vendor: Box<str>,
    /// Product.
    pub product: Box<str>,
    /// Version, with the update behind it (9.3 and p1 are 9.3p1); none for "any".
    pub version: Option<Box<str>>,
    /// Whether the version is "not applicable".
    pub no_version: bool,
}

impl Cpe {
    /// Reads a name; none when it is not one.
    #[must_use]
    pub fn parse(name: &str) -> Option<Cpe> {
        let rest = name.strip_prefix("cpe:2.3:")?;
        let mut fields: Vec<String> = vec![String::new()];
        let mut letters = rest.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '\\' => fields.last_mut()?.push(letters.next()?),
                ':' => fields.push(String::new()),
                letter => fields.last_mut()?.push(letter),
            }
            if fields.len() > 11 {
                return None;
            }
        }
        let [part, vendor, product, version, ..] = fields.as_slice() else {
            return None;
        };
        let update = fields
            .get(4)
            .map(String::as_str)
            .filter(|u| !matches!(*u, "*" | "-" | ""));
        let version_known = !matches!(version.as_str(), "*" | "-" | "");
        Some(Cpe {
            part: part.chars().next().filter(|p| "aoh".contains(*p))?,
            vendor: vendor.to_lowercase().into(),
            product: product.to_lowercase().into(),
            version: version_known
                .then(|| format!("{version}{}", update.unwrap_or_default()).into()),
            no_version: version == "-",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_escapes_and_updates() {
        let cpe = Cpe::parse("cpe:2.3:a:openbsd:openssh:9.3:p1:*:*:*:*:*:*").unwrap();
        assert_eq!(cpe.version.as_deref(), Some("9.3p1"));
        let cpe = Cpe::parse(r"cpe:2.3:a:paul\'s_ppp_package:Paul\'s_ppp\:x:2.4.2:*:*:*:*:*:*:*")
            .unwrap();
        assert_eq!(
            (&*cpe.vendor, &*cpe.product),
            ("paul's_ppp_package", "paul's_ppp:x")
        );
        let cpe = Cpe::parse("cpe:2.3:o:linux:linux_kernel:-:*:*:*:*:*:*:*").unwrap();
        assert!(cpe.no_version && cpe.version.is_none());
        assert_eq!(Cpe::parse("cpe:/a:old:name"), None);
        assert_eq!(Cpe::parse("cpe:2.3:x:a:b:c"), None);
        assert_eq!(Cpe::parse("cpe:2.3:a:b"), None);
        assert_eq!(Cpe::parse("cpe:2.3:a:b:c:1\\"), None);
    }
}
