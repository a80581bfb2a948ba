//! Thing models of products ([AL-6.12]).

use super::{
    Action, Answer, Ask, Refusal, fields, nothing,
    parameter::{PRODUCT_KEY, boolean, list, text},
    product_key,
};
use crate::codes::business::{Business, Family};
use hub::thing_model::{Edit, Which};
use model::account::Resource;
use serde_json::{Value, json};

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateThingModel",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("ThingModelJson").in_body(),
            text("FunctionBlockId"),
            text("FunctionBlockName"),
        ],
        |ask| Box::pin(create(ask)),
    ),
    Action::changes(
        "UpdateThingModel",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("Identifier"),
            text("ThingModelJson").in_body(),
            text("FunctionBlockId"),
            text("FunctionBlockName"),
        ],
        |ask| Box::pin(update(ask)),
    ),
    Action::reads(
        "QueryThingModel",
        Family::Model,
        &[
            PRODUCT_KEY,
            text("ModelVersion"),
            text("FunctionBlockId"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(query(ask, Which::Draft)),
    ),
    Action::reads(
        "QueryThingModelPublished",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("ModelVersion"),
            text("FunctionBlockId"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(query(ask, Which::Published)),
    ),
    Action::changes(
        "PublishThingModel",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("ModelVersion"),
            text("Description"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(publish(ask)),
    ),
    Action::changes(
        "DeleteThingModel",
        Family::Model,
        &[
            PRODUCT_KEY,
            list("PropertyIdentifier", 100),
            list("ServiceIdentifier", 100),
            list("EventIdentifier", 100),
            text("FunctionBlockId"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(delete(ask)),
    ),
    Action::reads(
        "GetThingModelTsl",
        Family::Model,
        &[
            PRODUCT_KEY,
            text("ModelVersion"),
            boolean("Simple"),
            text("FunctionBlockId"),
        ],
        |ask| Box::pin(tsl(ask, Which::Draft)),
    ),
    Action::reads(
        "GetThingModelTslPublished",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("ModelVersion"),
            boolean("Simple"),
            text("FunctionBlockId"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(tsl(ask, Which::Published)),
    ),
    Action::changes(
        "ImportThingModelTsl",
        Family::Model,
        &[
            PRODUCT_KEY.needed(),
            text("TslStr").in_body(),
            text("TslUrl"),
            text("FunctionBlockId"),
            text("FunctionBlockName"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(import(ask)),
    ),
    Action::reads(
        "ListThingModelVersion",
        Family::Model,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(versions(ask)),
    ),
    Action::changes(
        "CopyThingModel",
        Family::Model,
        &[
            text("SourceProductKey").needed(),
            text("TargetProductKey").needed(),
            text("SourceModelVersion"),
            text("ResourceGroupId"),
        ],
        |ask| Box::pin(copy(ask)),
    ),
];

/// A parameter that holds a JSON document.
fn document(ask: &Ask<'_>, name: &str) -> Result<Option<Value>, Business> {
    let bad = |error: serde_json::Error| Business::illegal(format!("{name} is not JSON: {error}"));
    let text = ask.params.text(name);
    text.map(serde_json::from_str).transpose().map_err(bad)
}

fn block<'a>(ask: &Ask<'a>) -> Option<&'a str> {
    ask.params.text("FunctionBlockId")
}

/// Does one edit, and gives the block its name when one came along.
async fn edit(ask: &Ask<'_>, edit: Option<Edit>, missing: &str) -> Answer {
    let (permit, key) = ask.product().await?;
    let name = ask.params.text("FunctionBlockName").map(str::to_owned);
    if edit.is_none() && name.is_none() {
        return Err(Business::illegal(format!("{missing} is missing")).into());
    }
    if name.is_some() && block(ask).is_none() {
        return Err(Business::illegal("FunctionBlockName needs a FunctionBlockId").into());
    }
    let name = name.map(|name| Edit::NameBlock { name });
    for edit in edit.into_iter().chain(name) {
        ask.hub.model_edit(&permit, &key, block(ask), edit).await?;
    }
    nothing()
}

async fn create(ask: &Ask<'_>) -> Answer {
    let model = document(ask, "ThingModelJson")?;
    edit(ask, model.map(Edit::Add), "ThingModelJson").await
}

async fn update(ask: &Ask<'_>) -> Answer {
    let replace = match (
        ask.params.text("Identifier"),
        document(ask, "ThingModelJson")?,
    ) {
        (Some(identifier), Some(with)) => Some(Edit::Replace {
            identifier: identifier.into(),
            with,
        }),
        (None, None) => None,
        (Some(_), None) => return Err(Business::illegal("ThingModelJson is missing").into()),
        (None, Some(_)) => return Err(Business::illegal("Identifier is missing").into()),
    };
    edit(ask, replace, "Identifier").await
}

async fn import(ask: &Ask<'_>) -> Answer {
    let tsl = document(ask, "TslStr")?;
    if tsl.is_none() && ask.params.text("TslUrl").is_some() {
        let message = "the server fetches no documents; send the text as TslStr";
        return Err(Business::illegal(message).into());
    }
    edit(ask, tsl.map(Edit::Import), "TslStr").await
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let names = |list: &str| {
        let names = ask.params.list(list).iter();
        names.map(|name| (*name).to_owned()).collect()
    };
    let remove = Edit::Remove {
        properties: names("PropertyIdentifier"),
        services: names("ServiceIdentifier"),
        events: names("EventIdentifier"),
    };
    ask.hub
        .model_edit(&permit, &key, block(ask), remove)
        .await?;
    nothing()
}

/// The version that is named, or else the usual one.
fn which(ask: &Ask<'_>, usual: Which) -> Which {
    let version = ask.params.text("ModelVersion");
    version.map_or(usual, |version| Which::Version(version.into()))
}

async fn query(ask: &Ask<'_>, usual: Which) -> Answer {
    let (permit, key) = ask.product().await?;
    let which = which(ask, usual);
    let model = ask
        .hub
        .model_json(&permit, &key, &which, block(ask))
        .await?;
    fields(json!({ "ProductKey": key, "Data": { "ThingModelJson": model.to_string() } }))
}

async fn tsl(ask: &Ask<'_>, usual: Which) -> Answer {
    let (permit, key) = ask.product().await?;
    let which = which(ask, usual);
    let simple = ask.params.boolean("Simple") == Some(true);
    let tsl = ask
        .hub
        .model_tsl(&permit, &key, &which, block(ask), simple)
        .await?;
    fields(json!({ "Data": { "TslStr": tsl.to_string() } }))
}

async fn publish(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let version = ask.params.text("ModelVersion");
    let description = ask.params.text("Description").unwrap_or_default();
    ask.hub
        .model_publish(&permit, &key, version, description)
        .await?;
    nothing()
}

async fn versions(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let rows: Vec<_> = ask
        .hub
        .model_versions(&permit, &key)
        .await?
        .into_iter()
        .map(|row| {
            json!({
                "ModelVersion": row.version,
                "Description": row.description,
                "GmtCreate": row.created.0,
            })
        })
        .collect();
    fields(json!({ "Data": { "ModelVersions": rows } }))
}

/// Replaces the draft of one product by a published model of another.
async fn copy(ask: &Ask<'_>) -> Answer {
    let source = product_key(ask.params.text("SourceProductKey"))?;
    let target = product_key(ask.params.text("TargetProductKey"))?;
    let allow = |key: &model::id::ProductKey| Resource::Product(key.clone());
    let reading = ask.allow(&allow(&source)).await?;
    let writing = ask.allow(&allow(&target)).await?;
    let version = ask.params.text("SourceModelVersion");
    let which = version.map_or(Which::Published, |version| Which::Version(version.into()));
    let tsl = ask
        .hub
        .model_tsl(&reading, &source, &which, None, false)
        .await?;
    let done = ask
        .hub
        .model_edit(&writing, &target, None, Edit::Import(tsl))
        .await;
    done.map_err(Refusal::from)?;
    nothing()
}
