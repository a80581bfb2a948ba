//! Policies: what their words mean, and the ones that come with the product.

use model::{
    account::{Effect, OneOrMany, Policy, PolicyDocument, Resource, Statement},
    id::{AccountId, PolicyName},
};

/// Characters of a policy's text.
const TEXT: usize = 6_144;

/// Characters of one pattern.
const PATTERN: usize = 512;

/// What policies say of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Allowed,
    /// A statement forbids it.
    Denied,
    /// No statement speaks of it.
    Silent,
}

/// What the policies together say: a denial wins, and silence does not allow.
pub(super) fn judge<'a>(
    policies: impl IntoIterator<Item = &'a PolicyDocument>,
    action: &str,
    account: &AccountId,
    resource: &Resource,
) -> Verdict {
    let service = action.split(':').next().unwrap_or_default();
    let path = path(resource);
    let mut verdict = Verdict::Silent;
    for statement in policies.into_iter().flat_map(|policy| &policy.statements) {
        let speaks = statement
            .actions
            .iter()
            .any(|pattern| acts(pattern, action))
            && statement
                .resources
                .iter()
                .any(|pattern| names(pattern, service, account.as_str(), &path));
        match (speaks, statement.effect) {
            (false, _) => {}
            (true, Effect::Deny) => return Verdict::Denied,
            (true, Effect::Allow) => verdict = Verdict::Allowed,
        }
    }
    verdict
}

/// A resource as the last part of its name in policies.
pub(super) fn path(resource: &Resource) -> String {
    match resource {
        Resource::Any => "*".to_owned(),
        Resource::Product(key) => format!("product/{key}"),
        Resource::Device(key) => format!("product/{}/device/{}", key.product, key.name),
        Resource::Account(id) => format!("account/{id}"),
        Resource::User(name) => format!("user/{name}"),
        Resource::AccessKey(None, id) => format!("access-key/{id}"),
        Resource::AccessKey(Some(user), id) => format!("user/{user}/access-key/{id}"),
        Resource::Policy(name) => format!("policy/{name}"),
    }
}

/// Action names are compared in any case, so that no spelling slips past a denial.
fn acts(pattern: &str, action: &str) -> bool {
    like(
        pattern.to_ascii_lowercase().as_bytes(),
        action.to_ascii_lowercase().as_bytes(),
    )
}

/// Whether `acs:service:region:account:path` names the resource. The region is not compared: a
/// server of one's own is whatever region its clients take it for.
fn names(pattern: &str, service: &str, account: &str, path: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let mut parts = pattern.splitn(5, ':');
    let (Some("acs"), Some(of), Some(_), Some(owner), Some(tail)) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return false;
    };
    like(
        of.to_ascii_lowercase().as_bytes(),
        service.to_ascii_lowercase().as_bytes(),
    ) && like(owner.as_bytes(), account.as_bytes())
        && like(tail.as_bytes(), path.as_bytes())
}

/// Whether `text` fits `pattern`, where `*` stands for any run of bytes and `?` for one. Needs at
/// most `pattern` times `text` steps and no memory.
fn like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and how much of the text it has eaten.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == b'?' || *c == text[t]) {
            p += 1;
            t += 1;
        } else if let Some((at, eaten)) = star {
            star = Some((at, eaten + 1));
            p = at + 1;
            t = eaten + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// The mistake in a document that somebody wants to keep, with its place.
pub(super) fn mistake(document: &PolicyDocument) -> Option<String> {
    if document.version != "1" {
        return Some("Version: must be \"1\"".to_owned());
    }
    if document.statements.is_empty() {
        return Some("Statement: must not be empty".to_owned());
    }
    let length: usize = document.statements.iter().map(length).sum();
    if length > TEXT {
        return Some(format!("Statement: has more than {TEXT} characters"));
    }
    document
        .statements
        .iter()
        .enumerate()
        .find_map(|(n, statement)| {
            flaw(&statement.actions, is_action, "must be * or service:action")
                .map(|flaw| format!("Statement[{n}].Action{flaw}"))
                .or_else(|| {
                    let rule = "must be * or acs:service:region:account:resource";
                    flaw(&statement.resources, is_resource, rule)
                        .map(|flaw| format!("Statement[{n}].Resource{flaw}"))
                })
        })
}

fn length(statement: &Statement) -> usize {
    // Each with its quotes and comma, about as it is written.
    let texts = statement.actions.iter().chain(statement.resources.iter());
    texts.map(|text| text.len() + 3).sum::<usize>() + 40
}

fn flaw(texts: &OneOrMany, good: fn(&str) -> bool, rule: &str) -> Option<String> {
    if texts.iter().next().is_none() {
        return Some(": must not be empty".to_owned());
    }
    let found = texts
        .iter()
        .position(|text| text.len() > PATTERN || !good(text))?;
    Some(format!("[{found}]: {rule}"))
}

fn is_action(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"*?-_".contains(&b))
    };
    text == "*"
        || text
            .split_once(':')
            .is_some_and(|(service, action)| word(service) && word(action))
}

fn is_resource(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(5, ':').collect();
    text == "*"
        || (parts.len() == 5
            && parts[0] == "acs"
            && !parts[1].is_empty()
            && !parts[4].is_empty()
            && text.bytes().all(|b| b.is_ascii_graphic()))
}

/// Verbs that only read, and no secret.
const READS: [&str; 10] = [
    "Query*",
    "Get*",
    "List*",
    "BatchGet*",
    "BatchQuery*",
    "Describe*",
    "Check*",
    "ReadAudit",
    "ReadServer",
    "VerifyAudit",
];

/// Name, services (`*` for all), whether it only reads, description. The names with `Aliyun` are
/// those of the documents (seed 000 §1.2.11) and of the vendor's other services.
const MANAGED: [(&str, &[&str], bool, &str); 11] = [
    ("AdministratorAccess", &["*"], false, "May do everything"),
    ("ReadOnlyAccess", &["*"], true, "May read everything"),
    (
        "AliyunIOTFullAccess",
        &["iot"],
        false,
        "May manage products and devices",
    ),
    (
        "AliyunIOTReadOnlyAccess",
        &["iot"],
        true,
        "May read products and devices",
    ),
    (
        "AliyunFSSFullAccess",
        &["fss"],
        false,
        "May manage firmware scans",
    ),
    (
        "AliyunFssReadOnlyAccess",
        &["fss"],
        true,
        "May read firmware scans",
    ),
    (
        "AliyunID2FullAccess",
        &["id2"],
        false,
        "May manage ID2 identities",
    ),
    (
        "AliyunRAMFullAccess",
        &["ram"],
        false,
        "May manage users, keys and policies",
    ),
    (
        "AliyunRAMReadOnlyAccess",
        &["ram"],
        true,
        "May read users, keys and policies",
    ),
    (
        "MusterFullAccess",
        &["muster"],
        false,
        "May use the switches and read the audit log",
    ),
    (
        "MusterReadOnlyAccess",
        &["muster"],
        true,
        "May read the switches and the audit log",
    ),
];

/// The policies that come with the product.
pub(super) fn managed() -> impl Iterator<Item = Policy> {
    MANAGED
        .into_iter()
        .filter_map(|(name, services, reads, description)| {
            let actions = services
                .iter()
                .flat_map(|service| {
                    let verbs: &[&str] = if reads { &READS } else { &["*"] };
                    verbs.iter().map(move |verb| format!("{service}:{verb}"))
                })
                .collect();
            Some(Policy {
                name: PolicyName::parse(name).ok()?,
                account: None,
                description: description.to_owned(),
                document: PolicyDocument {
                    version: "1".to_owned(),
                    statements: vec![Statement {
                        effect: Effect::Allow,
                        actions: OneOrMany::Many(actions),
                        resources: OneOrMany::One("*".to_owned()),
                    }],
                },
            })
        })
}

/// The policy of this name that comes with the product.
pub(super) fn managed_by_name(name: &PolicyName) -> Option<Policy> {
    managed().find(|policy| policy.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::{DeviceKey, ProductKey};

    fn account() -> AccountId {
        AccountId::parse("1000000000000001").unwrap()
    }

    fn document(text: &str) -> PolicyDocument {
        serde_json::from_str(text).unwrap()
    }

    fn one(effect: &str, action: &str, resource: &str) -> PolicyDocument {
        document(&format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}"}}]}}"#
        ))
    }

    fn device() -> Resource {
        Resource::Device(DeviceKey::parse("a1BwAGVabcd", "lamp:1").unwrap())
    }

    fn product() -> Resource {
        Resource::Product(ProductKey::parse("a1BwAGVabcd").unwrap())
    }

    #[test]
    fn patterns_fit_as_they_read() {
        for (pattern, text, fits) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("?", "", false),
            ("?", "a", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbb", false),
            ("*b*b*", "abcb", true),
            ("*b*b*", "abc", false),
            ("a?c*", "abcd", true),
            ("**", "x", true),
        ] {
            assert_eq!(
                like(pattern.as_bytes(), text.as_bytes()),
                fits,
                "{pattern} {text}"
            );
        }
        // All short patterns against all short texts, beside the definition.
        let words = |letters: &[u8]| {
            let mut all = vec![Vec::new()];
            for length in 0..4 {
                let longest = all.iter().filter(|word: &&Vec<u8>| word.len() == length);
                let longer: Vec<Vec<u8>> = longest
                    .flat_map(|word| letters.iter().map(move |l| [&word[..], &[*l]].concat()))
                    .collect();
                all.extend(longer);
            }
            all
        };
        for pattern in words(b"ab*?") {
            for text in words(b"ab") {
                assert_eq!(like(&pattern, &text), defined(&pattern, &text));
            }
        }
        // Stars without end do not take time without end.
        let stars = "*a".repeat(200);
        assert!(!like(stars.as_bytes(), "a".repeat(199).as_bytes()));
    }

    fn defined(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', after)), _) => {
                (0..=text.len()).any(|eaten| defined(after, &text[eaten..]))
            }
            (Some((p, after)), Some((t, rest))) => (*p == b'?' || p == t) && defined(after, rest),
            (Some(_), None) => false,
        }
    }

    /// [FS-8] What is not allowed is refused, and a denial wins wherever it stands.
    #[test]
    fn a_denial_wins_and_silence_refuses() {
        let allow = one("Allow", "iot:*", "*");
        let deny = one("Deny", "iot:Delete*", "acs:iot:*:*:product/a1BwAGVabcd/*");
        let ask = |policies: &[PolicyDocument], action: &str, resource: &Resource| {
            judge(policies, action, &account(), resource)
        };
        assert_eq!(ask(&[], "iot:QueryDevice", &device()), Verdict::Silent);
        let both = [allow.clone(), deny.clone()];
        let turned = [deny, allow];
        for policies in [&both, &turned] {
            assert_eq!(
                ask(policies, "iot:DeleteDevice", &device()),
                Verdict::Denied
            );
            assert_eq!(
                ask(policies, "IOT:deletedevice", &device()),
                Verdict::Denied
            );
            assert_eq!(
                ask(policies, "iot:DeleteProduct", &product()),
                Verdict::Allowed
            );
            assert_eq!(
                ask(policies, "iot:QueryDevice", &device()),
                Verdict::Allowed
            );
            assert_eq!(
                ask(policies, "ram:CreateUser", &Resource::Any),
                Verdict::Silent
            );
        }
    }

    /// [FS-8] Resource names have five parts; a device name may hold a colon itself.
    #[test]
    fn resources_are_named_by_service_account_and_path() {
        let ask = |pattern: &str, resource: &Resource| {
            let policy = one("Allow", "*", pattern);
            judge([&policy], "iot:QueryDevice", &account(), resource) == Verdict::Allowed
        };
        for good in [
            "*",
            "acs:*:*:*:*",
            "acs:iot:*:*:*",
            "acs:iot:cn-shanghai:1000000000000001:product/a1BwAGVabcd/device/lamp:1",
            "acs:iot:*:*:product/a1BwAGVabcd/device/lamp*",
            "acs:iot:*:*:product/a1BwAGV????/*",
        ] {
            assert!(ask(good, &device()), "{good}");
        }
        for bad in [
            "acs:fss:*:*:*",
            "acs:iot:*:1000000000000002:*",
            "acs:iot:*:*:product/a1BwAGVabcd",
            "acs:iot:*:*:product/other/*",
            "acs:iot:*:*",
            "arn:iot:*:*:*",
            "",
        ] {
            assert!(!ask(bad, &device()), "{bad}");
        }
        assert!(!ask("acs:iot:*:*:product/a1BwAGVabcd", &Resource::Any));
    }

    /// [FS-8] Seed 000 §1.2.11: the two policies of the document, under its spelling.
    #[test]
    fn managed_policies_do_what_their_names_say() {
        let ask = |name: &str, action: &str| {
            let policy = managed_by_name(&PolicyName::parse(name).unwrap()).unwrap();
            judge([&policy.document], action, &account(), &Resource::Any) == Verdict::Allowed
        };
        assert!(ask("AliyunFSSFullAccess", "fss:CreateScanTask"));
        assert!(!ask("AliyunFSSFullAccess", "iot:QueryDevice"));
        assert!(ask("AliyunFssReadOnlyAccess", "fss:QueryTaskList"));
        assert!(!ask("AliyunFssReadOnlyAccess", "fss:CreateScanTask"));
        assert!(ask("AliyunIOTReadOnlyAccess", "iot:BatchGetDeviceState"));
        assert!(!ask("AliyunIOTReadOnlyAccess", "iot:BatchRegisterDevice"));
        assert!(!ask("AliyunIOTReadOnlyAccess", "iot:ReadDeviceSecret"));
        assert!(!ask("AliyunIOTReadOnlyAccess", "iot:ReadProductSecret"));
        assert!(ask("AliyunIOTFullAccess", "iot:ReadDeviceSecret"));
        assert!(ask("AliyunIOTFullAccess", "iot:DeleteProduct"));
        assert!(!ask("AliyunIOTFullAccess", "ram:CreateUser"));
        assert!(ask("AdministratorAccess", "muster:Whatever"));
        assert!(ask("ReadOnlyAccess", "iot:QueryDevice"));
        assert!(ask("MusterReadOnlyAccess", "muster:ReadAudit"));
        for name in ["ReadOnlyAccess", "MusterReadOnlyAccess"] {
            assert!(!ask(name, "muster:SetDynamicRegistration"));
            assert!(
                !ask(name, "muster:ReadDeviceSecret"),
                "a secret is no mere reading"
            );
        }
        assert_eq!(managed().count(), MANAGED.len());
        assert!(managed().all(|policy| mistake(&policy.document).is_none()));
    }

    /// [FS-8] A document that cannot mean what its writer wants is refused with its place.
    #[test]
    fn mistakes_are_told_with_their_place() {
        let good = one("Allow", "iot:Query*", "acs:iot:*:*:product/*");
        assert_eq!(mistake(&good), None);
        for (text, place) in [
            (r#"{"Version":"2","Statement":[]}"#, "Version"),
            (r#"{"Version":"1","Statement":[]}"#, "Statement:"),
            (
                r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":[],"Resource":"*"}]}"#,
                "Statement[0].Action:",
            ),
            (
                r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["*","Query"],"Resource":"*"}]}"#,
                "Statement[0].Action[1]:",
            ),
            (
                r#"{"Version":"1","Statement":[{"Effect":"Deny","Action":"*","Resource":"product/1"}]}"#,
                "Statement[0].Resource[0]:",
            ),
        ] {
            let told = mistake(&document(text)).unwrap();
            assert!(told.starts_with(place), "{told}");
        }
        let huge = format!("iot:{}", "x".repeat(PATTERN));
        assert!(mistake(&one("Allow", &huge, "*")).is_some());
        let many = vec!["\"iot:QueryDevice\""; 500].join(",");
        let many = document(&format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"Allow","Action":[{many}],"Resource":"*"}}]}}"#
        ));
        assert!(mistake(&many).is_some());
    }

    /// An element that is not understood must not be taken for one that is not there: a condition
    /// that is passed over would make an allowance wider.
    #[test]
    fn elements_that_are_not_understood_are_refused() {
        let text = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*",
            "Condition":{"IpAddress":{"acs:SourceIp":"192.0.2.0/24"}}}]}"#;
        assert!(serde_json::from_str::<PolicyDocument>(text).is_err());
    }
}
