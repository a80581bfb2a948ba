//! The API of ID² (seed 000 §1.1): five actions behind the same door as those of the IoT API, with
//! numbers for errors. What is judged, in which order, is the hub's (`hub::id2`).

use crate::{
    codes::{business::Family, id2},
    iot::{
        Action, Answer, Ask, Refusal, Service,
        parameter::{Parameter, integer, text},
    },
};
use base64::{Engine, engine::general_purpose::STANDARD};
use hub::{
    account::Permit,
    id2::{Id, Shown},
};
use model::{account::Resource, error::Id2Error, id::ProductKey};
use serde_json::{Map, Value, json};

/// The version that public programs name; others are taken too (spec/cloud-api.md §4).
pub const VERSION: &str = "2017-07-07";
const API_VERSION: &str = "1.1.2";

const API: Parameter = text("ApiVersion").needed();
const ID2: Parameter = text("Id2").needed();
const PRODUCT_KEY: Parameter = text("ProductKey").needed();
const SOURCE: Parameter = integer("ProductSource");

const fn of_id2(mut action: Action) -> Action {
    action.service = Service::Id2;
    action
}

/// The table.
pub const ROWS: &[Action] = &[
    of_id2(Action::reads(
        "Verify",
        Family::Identity,
        &[
            API,
            text("AuthCode").needed(),
            ID2,
            PRODUCT_KEY,
            text("Extra"),
            SOURCE,
        ],
        |ask| Box::pin(verify(ask)),
    )),
    of_id2(Action::reads(
        "VerifyAndEncrypt",
        Family::Identity,
        &[
            API,
            text("AuthCode").needed(),
            text("Data").needed(),
            ID2,
            PRODUCT_KEY,
            text("Extra"),
            SOURCE,
        ],
        |ask| Box::pin(verify_and_encrypt(ask)),
    )),
    of_id2(Action::reads(
        "GetServerRandom",
        Family::Identity,
        &[API, ID2],
        |ask| Box::pin(server_random(ask)),
    )),
    of_id2(Action::reads(
        "GetServerAuthCodeAndEncryptData",
        Family::Identity,
        &[
            API,
            text("Data").needed(),
            text("DeviceAuthCode").needed(),
            text("DeviceChallenge").needed(),
            ID2,
            PRODUCT_KEY,
            text("DeviceExtra"),
            text("ServerExtra"),
            SOURCE,
        ],
        |ask| Box::pin(server_auth_code(ask)),
    )),
    of_id2(Action::changes(
        "OtpGetId2",
        Family::Identity,
        &[API, text("DeviceAuthCode").needed()],
        |ask| Box::pin(otp(ask)),
    )),
];

fn done(data: Value) -> Answer {
    Ok(Map::from_iter([("Data".to_owned(), data)]))
}

fn versioned(ask: &Ask<'_>) -> Result<(), Refusal> {
    match ask.params.needed("ApiVersion") {
        API_VERSION => Ok(()),
        _ => Err(id2::api_version().into()),
    }
}

fn id(ask: &Ask<'_>) -> Result<Id, Refusal> {
    let id = Id::parse(ask.params.needed("Id2").as_bytes());
    id.ok_or_else(|| id2::bad_request("Id2 has 24 characters of 0-9 and A-F").into())
}

/// What every action that proves a device is given, with a permit for its product.
async fn shown<'a>(
    ask: &'a Ask<'_>,
    code: &str,
    extra: &str,
    product: &'a mut Option<ProductKey>,
) -> Result<(Permit, Shown<'a>), Refusal> {
    versioned(ask)?;
    let id = id(ask)?;
    let key = ProductKey::parse(ask.params.needed("ProductKey"));
    let key = product.insert(key.map_err(|_| Id2Error::NoSuchProduct)?);
    let permit = ask.allow(&Resource::Product(key.clone())).await?;
    let shown = Shown {
        product: key,
        id,
        code: ask.params.needed(code),
        // Many programs send all parameters, empty ones too.
        extra: ask.params.text(extra),
    };
    Ok((permit, shown))
}

async fn verify(ask: &Ask<'_>) -> Answer {
    let mut product = None;
    let (permit, shown) = shown(ask, "AuthCode", "Extra", &mut product).await?;
    ask.hub.id2_verify(&permit, shown).await?;
    done(true.into())
}

async fn verify_and_encrypt(ask: &Ask<'_>) -> Answer {
    let mut product = None;
    let (permit, shown) = shown(ask, "AuthCode", "Extra", &mut product).await?;
    let data = ask.params.needed("Data");
    let closed = ask.hub.id2_encrypt(&permit, shown, data).await?;
    done(STANDARD.encode(closed).into())
}

async fn server_random(ask: &Ask<'_>) -> Answer {
    versioned(ask)?;
    let id = id(ask)?;
    let resource = ask.hub.id2_resource(&id).await?;
    let permit = ask.allow(&resource).await?;
    let challenge = ask.hub.id2_challenge(&permit, &id).await?;
    done(challenge.into())
}

async fn server_auth_code(ask: &Ask<'_>) -> Answer {
    let mut product = None;
    let (permit, shown) = shown(ask, "DeviceAuthCode", "DeviceExtra", &mut product).await?;
    let params = &ask.params;
    let proof = ask
        .hub
        .id2_prove(
            &permit,
            shown,
            params.needed("DeviceChallenge"),
            params.text("ServerExtra"),
            params.needed("Data"),
        )
        .await?;
    done(json!({
        "EncryptData": STANDARD.encode(&proof.data),
        "ServerAuthCode": proof.code,
    }))
}

async fn otp(ask: &Ask<'_>) -> Answer {
    versioned(ask)?;
    let code = ask.params.needed("DeviceAuthCode");
    let resource = ask.hub.id2_otp_resource(code).await?;
    let permit = ask.allow(&resource).await?;
    let provision = ask.hub.id2_otp(&permit, code).await?;
    done(json!({
        "Remaining": provision.remaining,
        "ProvisionData": STANDARD.encode(&provision.data),
    }))
}
