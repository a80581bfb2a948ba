//! Devices in batches: names are checked, then the devices are made (spec/cloud-api.md §2,
//! conventions).

use super::{
    Action, Answer, Ask, Refusal,
    device::secrets,
    fields,
    page::Sheet,
    parameter::{PRODUCT_KEY, integer, list, records},
};
use crate::codes::business::{Business, Family};
use hub::{
    account::Permit,
    device::{Batch, BatchState, DeviceView, WantedName},
};
use model::{account::Resource, error::DeviceError, id::DeviceName};
use serde_json::{Value, json};

const NAMES_MOST: usize = 10_000;

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "BatchCheckDeviceNames",
        Family::Batch,
        &[
            PRODUCT_KEY.needed(),
            list("DeviceName", NAMES_MOST).in_body(),
            records(
                "DeviceNameList",
                &["DeviceName", "DeviceNickname"],
                NAMES_MOST,
            )
            .in_body(),
        ],
        |ask| Box::pin(check(ask)),
    ),
    Action::changes(
        "BatchRegisterDevice",
        Family::Batch,
        &[PRODUCT_KEY.needed(), integer("Count").needed()],
        |ask| Box::pin(create(ask)),
    ),
    Action::changes(
        "BatchRegisterDeviceWithApplyId",
        Family::Batch,
        &[PRODUCT_KEY.needed(), integer("ApplyId").needed()],
        |ask| Box::pin(apply(ask)),
    ),
    Action::reads(
        "QueryBatchRegisterDeviceStatus",
        Family::Batch,
        &[PRODUCT_KEY.needed(), integer("ApplyId").needed()],
        |ask| Box::pin(status(ask)),
    ),
    Action::reads(
        "QueryPageByApplyId",
        Family::Batch,
        &[
            integer("ApplyId").needed(),
            integer("PageSize"),
            integer("CurrentPage"),
        ],
        |ask| Box::pin(page(ask)),
    ),
];

async fn check(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let names = wanted(ask);
    if names.is_empty() {
        let code = "iot.device.NoneDeviceNameElement";
        return Err(Business::new(code, "no name is given").into());
    }
    let batch = ask.hub.batch_check(&permit, &product, names).await?;
    let plain = |names: &[WantedName]| names.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    let nicknames = batch.invalid_nicknames.iter().map(|n| n.nickname.clone());
    fields(json!({ "Data": {
        "ApplyId": batch.id,
        "InvalidDetailList": { "InvalidDetailList": invalid(&batch) },
        "RepeatedDeviceNameList": { "RepeatDevieNameList": batch.repeated },
        "InvalidDeviceNameList": { "InvalidDeviceName": plain(&batch.invalid) },
        "InvalidDeviceNicknameList": { "InvalidDeviceNickname": nicknames.collect::<Vec<_>>() },
    }}))
}

fn wanted(ask: &Ask<'_>) -> Vec<WantedName> {
    let plain = ask.params.list("DeviceName").iter().map(|name| WantedName {
        name: (*name).into(),
        nickname: String::new(),
    });
    let named = ask.params.records("DeviceNameList").iter().map(|record| {
        let field = |name| record.get(name).copied().unwrap_or_default().to_owned();
        WantedName {
            name: field("DeviceName"),
            nickname: field("DeviceNickname"),
        }
    });
    plain.chain(named).collect()
}

/// The names that are not fit, each with the reason.
fn invalid(batch: &Batch) -> Vec<Value> {
    let row = |wanted: &WantedName, reason: String| {
        json!({
            "DeviceName": wanted.name,
            "NickName": wanted.nickname,
            "ErrorMsg": reason,
        })
    };
    let names = batch.invalid.iter().map(|wanted| {
        let reason = match DeviceName::parse(&wanted.name) {
            Ok(_) => "a device with this name exists already".into(),
            Err(bad) => bad.to_string(),
        };
        row(wanted, reason)
    });
    let nicknames = batch.invalid_nicknames.iter();
    let nicknames = nicknames.map(|wanted| row(wanted, "the nickname breaks its rule".into()));
    names.chain(nicknames).collect()
}

async fn create(ask: &Ask<'_>) -> Answer {
    let (permit, product) = ask.product().await?;
    let count = ask.params.integer("Count").unwrap_or_default();
    let count = u64::try_from(count).ok().filter(|count| *count > 0);
    let Some(count) = count else {
        let code = "iot.device.ApplyManyDevicesFailed";
        return Err(Business::new(code, "Count must be at least 1").into());
    };
    let batch = ask.hub.batch_create(&permit, &product, count).await?;
    fields(json!({ "Data": { "ApplyId": batch.id } }))
}

fn number(ask: &Ask<'_>) -> Result<u64, Business> {
    let id = ask.params.integer("ApplyId").unwrap_or_default();
    u64::try_from(id).map_err(|_| {
        let code = "iot.device.InvalidFormattedApplyId";
        Business::new(code, "the ApplyId is not one that was given")
    })
}

/// The application of `ApplyId`, which must be for the product of `ProductKey`.
async fn find(ask: &Ask<'_>) -> Result<(Permit, Batch), Refusal> {
    let (permit, product) = ask.product().await?;
    let batch = ask.hub.batch_find(&permit, number(ask)?).await?;
    if batch.product != product {
        return Err(DeviceError::NoSuchBatch.into());
    }
    Ok((permit, batch))
}

async fn apply(ask: &Ask<'_>) -> Answer {
    let (permit, batch) = find(ask).await?;
    let batch = ask
        .hub
        .batch_apply(&permit, &batch.product, batch.id)
        .await?;
    fields(json!({ "Data": { "ApplyId": batch.id } }))
}

async fn status(ask: &Ask<'_>) -> Answer {
    let (_, batch) = find(ask).await?;
    let plain = |names: &[WantedName]| names.iter().map(|n| n.name.clone()).collect::<Vec<_>>();
    fields(json!({ "Data": {
        "Status": word(batch.state),
        "InvalidDetailList": { "invalidDetailList": invalid(&batch) },
        "InvalidList": { "Name": plain(&batch.invalid) },
        "ValidList": { "Name": plain(&batch.valid) },
    }}))
}

fn word(state: BatchState) -> &'static str {
    match state {
        BatchState::Checking => "CHECK",
        BatchState::Checked => "CHECK_SUCCESS",
        BatchState::CheckFailed => "CHECK_FAILED",
        BatchState::Creating => "CREATE",
        BatchState::Created => "CREATE_SUCCESS",
        BatchState::CreateFailed => "CREATE_FAILED",
    }
}

async fn page(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let id = number(ask)?;
    let product = ask.hub.batch_product(id).await?;
    let permit = ask.allow(&Resource::Product(product)).await?;
    let (views, total) = ask
        .hub
        .batch_page(&permit, id, sheet.skip(), sheet.most())
        .await?;
    let secrets = secrets(ask, &permit, &views).await?;
    let rows: Vec<_> = views
        .iter()
        .zip(secrets)
        .map(|(DeviceView { device, .. }, secret)| {
            json!({
                "DeviceName": device.key.name,
                "DeviceId": device.iot_id,
                "IotId": device.iot_id,
                "DeviceSecret": secret,
            })
        })
        .collect();
    fields(json!({
        "PageSize": sheet.size,
        "PageCount": sheet.pages(total),
        "Total": total,
        "Page": sheet.number,
        "ApplyDeviceList": { "ApplyDeviceInfo": rows },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::ProductKey;

    #[test]
    fn states_have_the_documented_words() {
        for (state, text) in [
            (BatchState::Checking, "CHECK"),
            (BatchState::Checked, "CHECK_SUCCESS"),
            (BatchState::CheckFailed, "CHECK_FAILED"),
            (BatchState::Creating, "CREATE"),
            (BatchState::Created, "CREATE_SUCCESS"),
            (BatchState::CreateFailed, "CREATE_FAILED"),
        ] {
            assert_eq!(word(state), text);
        }
    }

    #[test]
    fn every_name_that_is_not_fit_has_its_reason() {
        let wanted = |name: &str, nickname: &str| WantedName {
            name: name.into(),
            nickname: nickname.into(),
        };
        let batch = Batch {
            id: 1,
            product: ProductKey::parse("pk").expect("it is good"),
            state: BatchState::CheckFailed,
            valid: vec![],
            invalid: vec![wanted("lamp", ""), wanted("a b", "")],
            invalid_nicknames: vec![wanted("lamp2", "!")],
            repeated: vec![],
        };
        let rows = invalid(&batch);
        assert_eq!(
            rows[0]["ErrorMsg"],
            "a device with this name exists already"
        );
        assert!(rows[1]["ErrorMsg"].to_string().contains("characters"));
        assert_eq!(rows[2]["NickName"], "!");
    }
}
