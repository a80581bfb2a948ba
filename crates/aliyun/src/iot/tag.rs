//! Tags of products.

use super::{
    Action, Answer, Ask, fields, nothing,
    page::Sheet,
    parameter::{PRODUCT_KEY, Parameter, Record, integer, list, records},
    product::{all, node_type},
};
use crate::codes::business::{Business, Family};
use serde_json::json;
use std::collections::BTreeMap;

const TAGS: Parameter = records("ProductTag", &["TagKey", "TagValue"], 10).needed();

pub(super) const ROWS: &[Action] = &[
    Action::changes(
        "CreateProductTags",
        Family::ProductChange,
        &[PRODUCT_KEY.needed(), TAGS],
        |ask| Box::pin(write(ask, false)),
    ),
    Action::changes(
        "UpdateProductTags",
        Family::ProductChange,
        &[PRODUCT_KEY.needed(), TAGS],
        |ask| Box::pin(write(ask, true)),
    ),
    Action::changes(
        "DeleteProductTags",
        Family::ProductChange,
        &[PRODUCT_KEY.needed(), list("ProductTagKey", 10).needed()],
        |ask| Box::pin(delete(ask)),
    ),
    Action::reads(
        "ListProductTags",
        Family::ProductRead,
        &[PRODUCT_KEY.needed()],
        |ask| Box::pin(list_of(ask)),
    ),
    Action::reads(
        "ListProductByTags",
        Family::ProductRead,
        &[TAGS, integer("CurrentPage"), integer("PageSize")],
        |ask| Box::pin(find(ask)),
    ),
];

fn tag<'a>(record: &Record<'a>) -> (&'a str, &'a str) {
    let field = |name| record.get(name).copied().unwrap_or_default();
    (field("TagKey"), field("TagValue"))
}

/// Makes tags, or gives tags that exist another value.
async fn write(ask: &Ask<'_>, exist: bool) -> Answer {
    let (permit, key) = ask.product().await?;
    let view = ask.hub.product_find(&permit, &key).await?;
    let tags: Vec<_> = ask.params.records("ProductTag").iter().map(tag).collect();
    let odd: Vec<&str> = tags
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| view.product.tags.contains_key(*name) != exist)
        .collect();
    if !odd.is_empty() {
        let why = if exist {
            "do not exist"
        } else {
            "exist already"
        };
        let message = format!("these tags {why}: {}", odd.join(", "));
        return Err(Business::illegal(message).into());
    }
    let tags = tags
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())))
        .collect();
    ask.hub.product_tag(&permit, &key, tags).await?;
    nothing()
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let names = ask.params.list("ProductTagKey");
    let tags = names.iter().map(|name| ((*name).to_owned(), None));
    ask.hub.product_tag(&permit, &key, tags.collect()).await?;
    nothing()
}

async fn list_of(ask: &Ask<'_>) -> Answer {
    let (permit, key) = ask.product().await?;
    let view = ask.hub.product_find(&permit, &key).await?;
    let rows: Vec<_> = view
        .product
        .tags
        .iter()
        .map(|(name, value)| json!({ "TagKey": name, "TagValue": value }))
        .collect();
    fields(json!({ "Data": { "ProductTag": rows } }))
}

/// Products that bear all of the tags; a tag without a value matches any.
async fn find(ask: &Ask<'_>) -> Answer {
    let sheet = Sheet::read(&ask.params, 10, 50)?;
    let tags: Vec<_> = ask.params.records("ProductTag").iter().map(tag).collect();
    let bears = |of: &BTreeMap<String, String>| {
        tags.iter().all(|(name, value)| {
            of.get(*name)
                .is_some_and(|is| value.is_empty() || is == value)
        })
    };
    let mut views = all(ask).await?;
    views.retain(|view| bears(&view.product.tags));
    let rows: Vec<_> = sheet
        .cut(views)
        .iter()
        .map(|view| {
            json!({
                "ProductKey": view.product.key,
                "ProductName": view.product.name,
                "NodeType": node_type(view.product.node),
                "Description": view.product.description,
                "CreateTime": view.product.created.0,
            })
        })
        .collect();
    fields(json!({ "ProductInfos": { "ProductInfo": rows } }))
}
