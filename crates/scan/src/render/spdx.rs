//! SPDX 2.3 as JSON: the image as a package that contains its components.

use serde_json::{Map, Value, json};

use super::{VERSION, began, purl, uuid};
use crate::{dossier::Dossier, identify::Component};

pub(super) fn document(dossier: &Dossier) -> Value {
    let image = json!({
        "SPDXID": "SPDXRef-image",
        "name": dossier.name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "FIRMWARE",
        "checksums": [{"algorithm": "SHA256", "checksumValue": dossier.report.fw_basic_info.fw_sha256}],
    });
    let parts = dossier.components.iter().enumerate();
    let mut packages = vec![image];
    packages.extend(parts.map(|(n, component)| package(n, component)));
    let relation = |from: String, kind: &str, to: String| json!({"spdxElementId": from, "relationshipType": kind, "relatedSpdxElement": to});
    let mut relations = vec![relation(
        "SPDXRef-DOCUMENT".into(),
        "DESCRIBES",
        "SPDXRef-image".into(),
    )];
    relations.extend(
        (0..dossier.components.len())
            .map(|n| relation("SPDXRef-image".into(), "CONTAINS", reference(n))),
    );
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": dossier.name,
        "documentNamespace": format!("urn:uuid:{}", uuid(dossier)),
        "creationInfo": {
            "created": began(dossier),
            "creators": [format!("Tool: muster-{VERSION}")],
        },
        "documentDescribes": ["SPDXRef-image"],
        "packages": packages,
        "relationships": relations,
    })
}

fn reference(number: usize) -> String {
    format!("SPDXRef-component-{}", number + 1)
}

fn package(number: usize, component: &Component) -> Value {
    let mut refs = vec![json!({
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": purl(component),
    })];
    let cpe = component.cpe_name();
    if !cpe.is_empty() {
        refs.push(json!({
            "referenceCategory": "SECURITY",
            "referenceType": "cpe23Type",
            "referenceLocator": cpe,
        }));
    }
    let places: Vec<&str> = component.evidence.iter().map(|e| e.file.as_str()).collect();
    let mut package = Map::from_iter([
        ("SPDXID".to_owned(), json!(reference(number))),
        ("name".to_owned(), json!(component.name)),
        ("downloadLocation".to_owned(), json!("NOASSERTION")),
        ("filesAnalyzed".to_owned(), json!(false)),
        ("licenseConcluded".to_owned(), json!("NOASSERTION")),
        // A package's own words for its licence are seldom an expression of SPDX.
        ("licenseDeclared".to_owned(), json!("NOASSERTION")),
        ("copyrightText".to_owned(), json!("NOASSERTION")),
        ("externalRefs".to_owned(), json!(refs)),
        (
            "sourceInfo".to_owned(),
            json!(format!("seen in {}", places.join(", "))),
        ),
    ]);
    if let Some(version) = &component.version {
        package.insert("versionInfo".into(), json!(version));
    }
    if let Some(licence) = &component.licence {
        package.insert(
            "licenseComments".into(),
            json!(format!("the package says: {licence}")),
        );
    }
    Value::Object(package)
}
