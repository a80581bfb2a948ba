//! Firmware packages and modules (spec/cloud-api.md §2, OTA).

use super::{
    Action, Answer, Ask, Refusal, fields, nothing,
    page::Sheet,
    parameter::{DEVICE_NAME, IOT_ID, PRODUCT_KEY, boolean, integer, records, text},
    product_key,
    time::utc,
};
use crate::{
    codes::business::{Business, Family},
    pop::upload,
};
use hub::{
    account::Permit,
    ota::{NewFile, NewPackage, Package, Verified},
};
use model::{
    account::Resource,
    firmware::{SignMethod, WHOLE},
};
use serde_json::{Map, Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "GenerateOTAUploadURL",
        Family::Firmware,
        &[text("FileSuffix")],
        |ask| Box::pin(ticket(ask, false)),
    ),
    Action::changes("GenerateDeviceNameListURL", Family::Firmware, &[], |ask| {
        Box::pin(ticket(ask, true))
    }),
    Action::changes(
        "CreateOTAFirmware",
        Family::Firmware,
        &[
            text("FirmwareName").needed(),
            text("DestVersion").needed(),
            text("FirmwareUrl"),
            text("FirmwareSign"),
            text("SignMethod"),
            integer("FirmwareSize"),
            PRODUCT_KEY,
            text("FirmwareDesc"),
            integer("Type"),
            text("SrcVersion"),
            text("ModuleName"),
            boolean("NeedToVerify"),
            text("Udi"),
            records(
                "MultiFiles",
                &["FileMd5", "Size", "Url", "SignValue", "Name"],
                21,
            ),
        ],
        |ask| Box::pin(create(ask)),
    ),
    Action::changes(
        "ModifyOTAFirmware",
        Family::Firmware,
        &[
            PRODUCT_KEY.needed(),
            text("FirmwareId").needed(),
            text("FirmwareDesc"),
            text("FirmwareName"),
            text("FirmwareUdi"),
        ],
        |ask| Box::pin(modify(ask)),
    ),
    Action::changes(
        "DeleteOTAFirmware",
        Family::Firmware,
        &[text("FirmwareId").needed()],
        |ask| Box::pin(delete(ask)),
    ),
    Action::reads(
        "ListOTAFirmware",
        Family::Firmware,
        &[
            integer("PageSize").needed(),
            integer("CurrentPage").needed(),
            PRODUCT_KEY,
            text("DestVersion"),
        ],
        |ask| Box::pin(list(ask)),
    ),
    Action::reads(
        "QueryOTAFirmware",
        Family::Firmware,
        &[text("FirmwareId").needed()],
        |ask| Box::pin(query(ask)),
    ),
    Action::changes(
        "CreateOTAModule",
        Family::Firmware,
        &[
            text("ModuleName").needed(),
            PRODUCT_KEY.needed(),
            text("AliasName"),
            text("Desc"),
        ],
        |ask| Box::pin(module(ask, false)),
    ),
    Action::changes(
        "UpdateOTAModule",
        Family::Firmware,
        &[
            text("ModuleName").needed(),
            PRODUCT_KEY.needed(),
            text("AliasName"),
            text("Desc"),
        ],
        |ask| Box::pin(module(ask, true)),
    ),
    Action::changes(
        "DeleteOTAModule",
        Family::Firmware,
        &[PRODUCT_KEY.needed(), text("ModuleName").needed()],
        |ask| Box::pin(module_delete(ask)),
    ),
    Action::reads(
        "ListOTAModuleByProduct",
        Family::Firmware,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(modules(ask)),
    ),
    Action::reads(
        "ListOTAModuleVersionsByDevice",
        Family::Firmware,
        &[
            integer("PageSize").needed(),
            integer("CurrentPage").needed(),
            PRODUCT_KEY,
            DEVICE_NAME,
            IOT_ID,
        ],
        |ask| Box::pin(versions(ask)),
    ),
];

async fn ticket(ask: &Ask<'_>, names: bool) -> Answer {
    let permit = ask.any().await?;
    let suffix = match names {
        true => "txt",
        false => ask.params.text("FileSuffix").unwrap_or("bin"),
    };
    let ticket = ask.hub.upload_ticket(&permit, suffix)?;
    let base = ask.hub.links_from();
    let (url, id) = match names {
        true => ("FileUrl", "AccessKeyId"),
        false => ("FirmwareUrl", "OSSAccessKeyId"),
    };
    let mut data = Map::new();
    data.insert("Key".into(), json!(ticket.key));
    data.insert(id.into(), json!(upload::ACCESS_KEY));
    data.insert("Signature".into(), json!(ticket.signature));
    data.insert("Host".into(), json!(format!("{base}{}", upload::PATH)));
    data.insert("Policy".into(), json!(upload::policy(ask.hub, &ticket)));
    data.insert("ObjectStorage".into(), json!("OSS"));
    data.insert(url.into(), json!(upload::address(base, &ticket.key)));
    data.insert("UtcCreate".into(), json!(utc(Some(ask.hub.now()))));
    fields(json!({ "Data": data }))
}

/// A permit for a package, by its product.
pub(super) async fn permit(ask: &Ask<'_>, id: &str) -> Result<Permit, Refusal> {
    let resource = ask.hub.firmware_resource(id).await?;
    ask.allow(&resource).await
}

async fn create(ask: &Ask<'_>) -> Answer {
    let params = &ask.params;
    let product = params.text("ProductKey");
    let product = product.map(|key| product_key(Some(key))).transpose()?;
    let permit = match &product {
        Some(key) => ask.allow(&Resource::Product(key.clone())).await?,
        None => ask.any().await?,
    };
    let method = match params.text("SignMethod") {
        Some(name) if name.eq_ignore_ascii_case("MD5") => SignMethod::Md5,
        Some(name) if name.eq_ignore_ascii_case("SHA256") => SignMethod::Sha256,
        None => SignMethod::Md5,
        Some(_) => return Err(Business::illegal("SignMethod is MD5 or SHA256").into()),
    };
    let several = params.records("MultiFiles");
    let files = match params.text("FirmwareUrl") {
        Some(url) if several.is_empty() => vec![NewFile {
            upload: key_of(url)?,
            name: None,
            sign: params.text("FirmwareSign").map(str::to_owned),
            size: size(params.integer("FirmwareSize"))?,
        }],
        None if !several.is_empty() => several
            .iter()
            .map(|record| {
                let field = |name| record.get(name).copied().filter(|text| !text.is_empty());
                let bytes = field("Size").map(|text| text.parse().unwrap_or(-1));
                Ok(NewFile {
                    upload: key_of(field("Url").unwrap_or_default())?,
                    name: field("Name").map(str::to_owned),
                    sign: field("SignValue").map(str::to_owned),
                    size: size(bytes)?,
                })
            })
            .collect::<Result<_, Business>>()?,
        _ => return Err(Business::illegal("give either FirmwareUrl or MultiFiles").into()),
    };
    let differential = match params.integer("Type") {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(Business::illegal("Type is 0 (whole) or 1 (difference)").into()),
    };
    let owned = |name| params.text(name).unwrap_or_default().to_owned();
    let new = NewPackage {
        product,
        name: owned("FirmwareName"),
        description: owned("FirmwareDesc"),
        module: params.text("ModuleName").map(str::to_owned),
        version: owned("DestVersion"),
        from: owned("SrcVersion"),
        differential,
        method,
        files,
        udi: owned("Udi"),
        verify: params.boolean("NeedToVerify").unwrap_or(true),
    };
    let package = ask.hub.firmware_create(&permit, new).await?;
    fields(json!({ "Data": {
        "FirmwareId": package.id,
        "UtcCreate": utc(Some(package.created)),
    }}))
}

/// The key of a file that `GenerateOTAUploadURL` gave an address.
fn key_of(url: &str) -> Result<String, Business> {
    upload::key(url).map(str::to_owned).ok_or_else(|| {
        Business::illegal("the address of a file is the one that GenerateOTAUploadURL gave")
    })
}

fn size(given: Option<i64>) -> Result<Option<u64>, Business> {
    let read = given.map(u64::try_from).transpose();
    read.map_err(|_| Business::illegal("the size of a file is its number of bytes"))
}

async fn modify(ask: &Ask<'_>) -> Answer {
    let (_, product) = ask.product().await?;
    let params = &ask.params;
    let id = params.needed("FirmwareId");
    let permit = permit(ask, id).await?;
    let package = ask.hub.firmware_find(&permit, id).await?;
    if package.product.is_some_and(|of| of != product) {
        return Err(Business::illegal("the package is of another product").into());
    }
    let (name, udi) = (params.text("FirmwareName"), params.text("FirmwareUdi"));
    let description = params.given_text("FirmwareDesc");
    ask.hub
        .firmware_change(&permit, id, name, description, udi)
        .await?;
    nothing()
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("FirmwareId");
    let permit = permit(ask, id).await?;
    ask.hub.firmware_delete(&permit, id).await?;
    nothing()
}

/// The vendor's numbers.
fn status(verified: Verified) -> i32 {
    match verified {
        Verified::NotNeeded => -1,
        Verified::No => 0,
        Verified::Yes => 1,
        Verified::Running => 2,
        Verified::Failed => 3,
    }
}

async fn shown(ask: &Ask<'_>, permit: &Permit, package: &Package) -> Value {
    let product = match &package.product {
        Some(key) => ask.hub.product_find(permit, key).await.ok(),
        None => None,
    };
    let name = product.map(|view| view.product.name.clone());
    let [file, rest @ ..] = package.files.as_slice() else {
        return Value::Null;
    };
    json!({
        "FirmwareId": package.id,
        "FirmwareName": package.name,
        "FirmwareDesc": package.description,
        "ProductKey": package.product,
        "ProductName": name.unwrap_or_default(),
        "ModuleName": package.module,
        "Type": i32::from(package.differential),
        "Status": status(package.verified),
        "SrcVersion": package.from,
        "DestVersion": package.version,
        "SignMethod": match package.method {
            SignMethod::Md5 => "MD5",
            SignMethod::Sha256 => "SHA256",
        },
        "FirmwareSign": package.method.of(file),
        "FirmwareSize": file.size + rest.iter().map(|file| file.size).sum::<u64>(),
        "UtcCreate": utc(Some(package.created)),
        "UtcModified": utc(Some(package.modified)),
    })
}

async fn list(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 100)?;
    let product = ask.params.text("ProductKey");
    let product = product.map(|key| product_key(Some(key))).transpose()?;
    let permit = match &product {
        Some(key) => ask.allow(&Resource::Product(key.clone())).await?,
        None => ask.any().await?,
    };
    let version = ask.params.text("DestVersion");
    let all = ask
        .hub
        .firmware_list(&permit, product.as_ref(), version)
        .await?;
    let total = all.len() as u64;
    let mut rows = Vec::new();
    for package in &sheet.cut(all) {
        rows.push(shown(ask, &permit, package).await);
    }
    fields(json!({
        "CurrentPage": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "FirmwareInfo": { "SimpleFirmwareInfo": rows },
    }))
}

async fn query(ask: &Ask<'_>) -> Answer {
    let id = ask.params.needed("FirmwareId");
    let permit = permit(ask, id).await?;
    let package = ask.hub.firmware_find(&permit, id).await?;
    let mut info = shown(ask, &permit, &package).await;
    info["Udi"] = json!(package.udi);
    info["VerifyProgress"] = match package.verified {
        Verified::NotNeeded | Verified::Yes | Verified::Failed => json!(100),
        Verified::No | Verified::Running => json!(0),
    };
    match package.files.as_slice() {
        [file] => info["FirmwareUrl"] = json!(ask.hub.link(&file.blob)),
        several => {
            let files = several.iter().map(|file| {
                json!({
                    "Url": ask.hub.link(&file.blob),
                    "Name": file.name,
                    "Size": file.size,
                    "FileMd5": file.md5,
                    "SignValue": package.method.of(file),
                })
            });
            info["MultiFiles"] = files.collect();
        }
    }
    fields(json!({ "FirmwareInfo": info }))
}

async fn module(ask: &Ask<'_>, exists: bool) -> Answer {
    let (permit, product) = ask.product().await?;
    let params = &ask.params;
    let words = (params.given_text("AliasName"), params.given_text("Desc"));
    let name = params.needed("ModuleName");
    ask.hub
        .module_put(&permit, &product, name, words, exists)
        .await?;
    nothing()
}

async fn module_delete(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let name = ask.params.needed("ModuleName");
    ask.hub.module_delete(&permit, &product, name).await?;
    nothing()
}

/// The module of the whole device is always there.
async fn modules(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let whole = json!({
        "ModuleName": WHOLE, "ProductKey": product, "AliasName": "", "Desc": "",
        "GmtCreate": "", "GmtModified": "",
    });
    let all = ask.hub.module_list(&permit, &product).await?;
    let rows = all.iter().map(|module| {
        json!({
            "ModuleName": module.name,
            "ProductKey": product,
            "AliasName": module.alias,
            "Desc": module.description,
            "GmtCreate": utc(Some(module.created)),
            "GmtModified": utc(Some(module.modified)),
        })
    });
    let rows: Vec<Value> = std::iter::once(whole).chain(rows).collect();
    fields(json!({ "Data": rows }))
}

async fn versions(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 100)?;
    let (permit, key) = ask.device().await?;
    let id = ask.hub.device_find(&permit, &key).await?.device.iot_id;
    let all = ask.hub.module_versions(&permit, &key).await?;
    let total = all.len() as u64;
    let rows: Vec<Value> = sheet
        .cut(all)
        .iter()
        .map(|said| {
            json!({
                "ModuleName": said.module,
                "ModuleVersion": said.version,
                "ProductKey": key.product,
                "DeviceName": key.name,
                "IotId": id,
            })
        })
        .collect();
    fields(json!({
        "CurrentPage": sheet.number,
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Data": { "SimpleOTAModuleInfo": rows },
    }))
}
