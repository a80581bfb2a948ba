//! Topic classes of a product: what its devices may publish and subscribe beside the topics of
//! the vendor ([AL-3.12], seed 001 §3.1).

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
};
use model::{
    error::{Fault, ProductError},
    id::ProductKey,
    port::{Expect, Put},
    product::{Product, ProductState, TopicClass, TopicRight},
};

/// Kind of the documents that lead from a class's number to its product.
const TOPIC: &str = "topic";
const PART: &str = "topic class";
/// Devices in the field know topics of at most 128 bytes (spec/alink-wire.md §7); this leaves
/// room for the longest names in front.
const SUFFIX_CHARS: usize = 80;
const DESCRIPTION_CHARS: usize = 256;

/// What a new product begins with (spec/alink-wire.md §7).
const DEFAULTS: [(&str, TopicRight); 3] = [
    ("user/update", TopicRight::Publish),
    ("user/update/error", TopicRight::Publish),
    ("user/get", TopicRight::Subscribe),
];

impl Hub {
    /// Makes a topic class.
    ///
    /// # Errors
    /// `NotFound`, `PartTaken`, `TooManyParts`, `BadRequest`; `Released` for a product that is
    /// frozen.
    pub async fn topic_create(
        &self,
        permit: &Permit,
        key: &ProductKey,
        suffix: &str,
        right: TopicRight,
        description: &str,
    ) -> Result<TopicClass, ProductError> {
        check(suffix, right, description)?;
        let mut number = None;
        for _ in 0..TRIES {
            let (mut product, version) = self.product_read(permit, key).await?;
            changeable(&product)?;
            if product.topics.iter().any(|topic| topic.suffix == suffix) {
                return Err(ProductError::PartTaken(PART));
            }
            if product.topics.len() >= self.limits.topic_classes {
                return Err(ProductError::TooManyParts("topic classes"));
            }
            let id = match number {
                Some(id) => id,
                None => *number.insert(self.ports.catalog.next(TOPIC).await?),
            };
            let topic = TopicClass {
                id,
                suffix: suffix.to_owned(),
                right,
                description: description.to_owned(),
            };
            product.topics.push(topic.clone());
            let link = links(key, std::slice::from_ref(&topic))?;
            if self.product_put(product, version, link).await?.is_some() {
                return Ok(topic);
            }
        }
        Err(busy(TOPIC).into())
    }

    /// Changes a topic class, which is found by its number.
    ///
    /// # Errors
    /// `NoSuchPart`, `PartTaken`, `BadRequest`; `Released` for a product that is frozen.
    pub async fn topic_update(
        &self,
        permit: &Permit,
        id: u64,
        suffix: &str,
        right: TopicRight,
        description: Option<&str>,
    ) -> Result<TopicClass, ProductError> {
        check(suffix, right, description.unwrap_or_default())?;
        self.topic_change(permit, id, |topics, index| {
            let mut others = topics.iter().filter(|topic| topic.id != id);
            if others.any(|topic| topic.suffix == suffix) {
                return Err(ProductError::PartTaken(PART));
            }
            let topic = &mut topics[index];
            suffix.clone_into(&mut topic.suffix);
            topic.right = right;
            if let Some(description) = description {
                description.clone_into(&mut topic.description);
            }
            Ok((topic.clone(), Vec::new()))
        })
        .await
    }

    /// Removes a topic class.
    ///
    /// # Errors
    /// `NoSuchPart`; `Released` for a product that is frozen.
    pub async fn topic_delete(&self, permit: &Permit, id: u64) -> Result<(), ProductError> {
        self.topic_change(permit, id, |topics, index| {
            Ok((topics.remove(index), vec![link_gone(id)]))
        })
        .await
        .map(|_| ())
    }

    /// The product that a topic class belongs to, of whatever account: what a policy is asked
    /// about.
    ///
    /// # Errors
    /// `NoSuchPart`.
    pub async fn topic_product(&self, id: u64) -> Result<ProductKey, ProductError> {
        let link = self.document(TOPIC, &id.to_string()).await?;
        Ok(link.ok_or(ProductError::NoSuchPart(PART))?.value)
    }

    async fn topic_change(
        &self,
        permit: &Permit,
        id: u64,
        change: impl Fn(&mut Vec<TopicClass>, usize) -> Result<(TopicClass, Vec<Put>), ProductError>
        + Send
        + Sync,
    ) -> Result<TopicClass, ProductError> {
        let key = self.topic_product(id).await?;
        for _ in 0..TRIES {
            let read = self.product_read(permit, &key).await;
            let (mut product, version) = match read {
                Err(ProductError::NotFound) => return Err(ProductError::NoSuchPart(PART)),
                read => read?,
            };
            changeable(&product)?;
            let index = product.topics.iter().position(|topic| topic.id == id);
            let index = index.ok_or(ProductError::NoSuchPart(PART))?;
            let (topic, more) = change(&mut product.topics, index)?;
            if self.product_put(product, version, more).await?.is_some() {
                return Ok(topic);
            }
        }
        Err(busy(TOPIC).into())
    }

    pub(super) async fn topics_default(&self) -> Result<Vec<TopicClass>, Fault> {
        let mut topics = Vec::with_capacity(DEFAULTS.len());
        for (suffix, right) in DEFAULTS {
            topics.push(TopicClass {
                id: self.ports.catalog.next(TOPIC).await?,
                suffix: suffix.to_owned(),
                right,
                description: String::new(),
            });
        }
        Ok(topics)
    }
}

/// The entries that lead from the numbers of new classes to their product.
pub(super) fn links(key: &ProductKey, topics: &[TopicClass]) -> Result<Vec<Put>, Fault> {
    topics
        .iter()
        .map(|topic| put(TOPIC, topic.id.to_string(), key, Expect::Absent))
        .collect()
}

/// What removes such an entry.
pub(super) fn link_gone(id: u64) -> Put {
    remove(TOPIC, id.to_string(), Expect::Anything)
}

fn changeable(product: &Product) -> Result<(), ProductError> {
    match product.state {
        ProductState::Released => Err(ProductError::Released),
        ProductState::Development => Ok(()),
    }
}

fn check(suffix: &str, right: TopicRight, description: &str) -> Result<(), ProductError> {
    if description.chars().count() > DESCRIPTION_CHARS {
        let text = format!("a description has at most {DESCRIPTION_CHARS} characters");
        return Err(ProductError::BadRequest(text));
    }
    if suffix.is_empty() || suffix.len() > SUFFIX_CHARS {
        let text = format!("a topic class has 1 to {SUFFIX_CHARS} characters");
        return Err(ProductError::BadRequest(text));
    }
    let levels: Vec<&str> = suffix.split('/').collect();
    for (index, level) in levels.iter().enumerate() {
        let last = index + 1 == levels.len();
        let fit = match *level {
            "#" => last && right == TopicRight::Subscribe,
            "+" => right == TopicRight::Subscribe,
            word => {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"_-.@:".contains(&b))
            }
        };
        if !fit {
            return Err(ProductError::BadRequest(
                "the levels of a topic class are letters, digits and _ - . @ :, or a wildcard \
                 where devices only subscribe"
                    .into(),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-3.12] A class keeps the rules of topics; wildcards only where devices only subscribe.
    #[test]
    fn a_class_is_a_run_of_plain_levels() {
        for good in ["user/update", "user", "a/b-c/d_e.f@g:h"] {
            assert!(check(good, TopicRight::Both, "").is_ok(), "{good}");
        }
        for good in ["user/#", "user/+", "user/+/get"] {
            assert!(check(good, TopicRight::Subscribe, "").is_ok(), "{good}");
            assert!(check(good, TopicRight::Publish, "").is_err(), "{good}");
            assert!(check(good, TopicRight::Both, "").is_err(), "{good}");
        }
        let long = "x".repeat(SUFFIX_CHARS + 1);
        for bad in [
            "", "/", "/user", "user/", "a//b", "user/#/x", "a b", "ü", "a+", "a\0b", &long,
        ] {
            assert!(check(bad, TopicRight::Subscribe, "").is_err(), "{bad}");
        }
    }
}
