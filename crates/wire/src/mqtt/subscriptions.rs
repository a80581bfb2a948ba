//! Who gets a topic: filters and their subscribers, searched by topic name.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::topic::{TopicFilter, TopicName, hides_from_wildcards};

/// Filters, and under each of them values by key.
///
/// Filters are found by hash of their levels before the first wildcard, so that a lookup costs one probe for each number
/// of such levels in use, however many filters there are; what follows the first wildcard is a tree by level. A lookup
/// allocates nothing, reads the topic once, and goes at most [`super::MAX_LEVELS`] deep. Of a shared subscription only
/// the [`TopicFilter::pattern`] is looked at: the caller puts the group into the key, and chooses the member.
///
/// ```
/// use wire::mqtt::{Subscriptions, TopicFilter, TopicName};
///
/// let mut routes = Subscriptions::new();
/// routes.insert(&TopicFilter::try_from("home/+/light")?, "lamp", 1);
/// routes.insert(&TopicFilter::try_from("home/kitchen/light")?, "panel", 0);
/// let mut found = Vec::new();
/// routes.matching(&TopicName::try_from("home/kitchen/light")?, |key, _| found.push(*key));
/// assert_eq!(found, ["lamp", "panel"]);
/// # Ok::<(), wire::mqtt::TopicError>(())
/// ```
#[derive(Debug)]
pub struct Subscriptions<K, V> {
    /// By the levels before the first wildcard.
    stems: HashTable<Stem<K, V>>,
    /// How many stems have so many levels, at that number less one.
    depths: Vec<usize>,
    /// Filters that begin with a wildcard.
    root: Node<K, V>,
    hashing: RandomState,
    len: usize,
}

impl<K, V> Default for Subscriptions<K, V> {
    fn default() -> Self {
        Self {
            stems: HashTable::new(),
            depths: Vec::new(),
            root: Node::default(),
            hashing: RandomState::new(),
            len: 0,
        }
    }
}

impl<K: Hash + Eq, V> Subscriptions<K, V> {
    /// Nobody gets anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Entries: pairs of filter and key.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no entry.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` under filter and key, and gives back what was there.
    pub fn insert(&mut self, filter: &TopicFilter, key: K, value: V) -> Option<V> {
        let leaf = match split_at_wildcard(filter.pattern()) {
            (None, rest) => self.root.grow(rest.unwrap_or_default()),
            (Some(name), rest) => {
                let stem = self.stem(name);
                match rest {
                    None => &mut stem.here,
                    Some(rest) => stem.beyond.get_or_insert_default().grow(rest),
                }
            }
        };
        let former = leaf.insert(key, value);
        self.len += usize::from(former.is_none());
        former
    }

    /// The stem of that name, made if it is not there.
    fn stem(&mut self, name: &str) -> &mut Stem<K, V> {
        let hash = hash(&self.hashing, name);
        let rehash = |stem: &Stem<K, V>| self::hash(&self.hashing, &stem.name);
        match self.stems.entry(hash, |stem| *stem.name == *name, rehash) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(room) => {
                let depth = ends(name).count();
                if self.depths.len() < depth {
                    self.depths.resize(depth, 0);
                }
                self.depths[depth - 1] += 1;
                let (here, beyond) = (Leaf::default(), None);
                room.insert(Stem {
                    name: name.into(),
                    here,
                    beyond,
                })
                .into_mut()
            }
        }
    }

    /// Takes out what is under filter and key.
    pub fn remove(&mut self, filter: &TopicFilter, key: &K) -> Option<V> {
        let former = match split_at_wildcard(filter.pattern()) {
            (None, rest) => self.root.remove(rest, key),
            (Some(name), rest) => self.remove_from_stem(name, rest, key),
        };
        self.len -= usize::from(former.is_some());
        former
    }

    fn remove_from_stem(&mut self, name: &str, rest: Option<&str>, key: &K) -> Option<V> {
        let hash = hash(&self.hashing, name);
        let mut there = self
            .stems
            .find_entry(hash, |stem| *stem.name == *name)
            .ok()?;
        let stem = there.get_mut();
        let former = match rest {
            None => stem.here.remove(key),
            Some(rest) => {
                let tree = stem.beyond.as_mut()?;
                let former = tree.remove(Some(rest), key);
                if tree.is_empty() {
                    stem.beyond = None;
                }
                former
            }
        };
        if stem.here.is_empty() && stem.beyond.is_none() {
            there.remove();
            self.depths[ends(name).count() - 1] -= 1;
        }
        former
    }

    /// Shows every entry whose filter matches `topic` (MQTT 5 §4.7) to `visit`. A key under several matching filters
    /// is shown as often.
    pub fn matching<'a>(&'a self, topic: &TopicName, mut visit: impl FnMut(&'a K, &'a V)) {
        if !hides_from_wildcards(topic) {
            self.root.matching(Some(topic), &mut visit);
        }
        let mut hasher = self.hashing.build_hasher();
        let mut start = 0;
        for (end, &stems) in ends(topic).zip(&self.depths) {
            hasher.write(&topic.as_bytes()[start..end]);
            start = end;
            if stems == 0 {
                continue;
            }
            let same = |stem: &Stem<K, V>| *stem.name == topic[..end];
            let Some(stem) = self.stems.find(hasher.finish(), same) else {
                continue;
            };
            let rest = topic.get(end + 1..);
            if rest.is_none() {
                stem.here.visit(&mut visit);
            }
            if let Some(tree) = &stem.beyond {
                tree.matching(rest, &mut visit);
            }
        }
    }
}

/// Levels without wildcards, and the filters that begin with them.
#[derive(Debug)]
struct Stem<K, V> {
    name: Box<str>,
    /// The filter that ends here.
    here: Leaf<K, V>,
    /// Filters that go on with a wildcard.
    beyond: Option<Box<Node<K, V>>>,
}

/// Where each level of a topic ends, the separator before the next not included.
fn ends(topic: &str) -> impl Iterator<Item = usize> {
    topic
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([topic.len()])
}

/// The hash of a stem, level by level as [`Subscriptions::matching`] makes it.
fn hash(hashing: &RandomState, name: &str) -> u64 {
    let mut hasher = hashing.build_hasher();
    let mut start = 0;
    for end in ends(name) {
        hasher.write(&name.as_bytes()[start..end]);
        start = end;
    }
    hasher.finish()
}

/// The levels before the first wildcard, and those from it on; either may be none.
fn split_at_wildcard(pattern: &str) -> (Option<&str>, Option<&str>) {
    match pattern.find(['+', '#']) {
        None => (Some(pattern), None),
        Some(0) => (None, Some(pattern)),
        Some(at) => (Some(&pattern[..at - 1]), Some(&pattern[at..])),
    }
}

/// One level of what follows the first wildcard, that wildcard included.
#[derive(Debug)]
struct Node<K, V> {
    /// The next level by name.
    named: HashMap<Box<str>, Node<K, V>>,
    /// The next level under `+`.
    any: Option<Box<Node<K, V>>>,
    /// Filters that end here.
    here: Leaf<K, V>,
    /// Filters that end in `#` behind here.
    below: Leaf<K, V>,
}

impl<K, V> Default for Node<K, V> {
    fn default() -> Self {
        Self {
            named: HashMap::new(),
            any: None,
            here: Leaf::default(),
            below: Leaf::default(),
        }
    }
}

/// The first level of what is left of a topic, and what then is left.
fn split(levels: &str) -> (&str, Option<&str>) {
    levels
        .split_once('/')
        .map_or((levels, None), |(level, rest)| (level, Some(rest)))
}

impl<K: Hash + Eq, V> Node<K, V> {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }

    /// The leaf of a filter, made if it is not there.
    fn grow(&mut self, pattern: &str) -> &mut Leaf<K, V> {
        let mut node = self;
        for level in pattern.split('/') {
            node = match level {
                "#" => return &mut node.below,
                "+" => node.any.get_or_insert_default(),
                name => {
                    if !node.named.contains_key(name) {
                        node.named.insert(name.into(), Self::default());
                    }
                    node.named
                        .get_mut(name)
                        .expect("it was there or has just been put there")
                }
            };
        }
        &mut node.here
    }

    /// Takes an entry out and cuts the branches that are bare then. As deep as a filter has levels.
    fn remove(&mut self, levels: Option<&str>, key: &K) -> Option<V> {
        let Some(levels) = levels else {
            return self.here.remove(key);
        };
        let (level, rest) = split(levels);
        match level {
            "#" => self.below.remove(key),
            "+" => {
                let next = self.any.as_mut()?;
                let former = next.remove(rest, key);
                if next.is_empty() {
                    self.any = None;
                }
                former
            }
            name => {
                let next = self.named.get_mut(name)?;
                let former = next.remove(rest, key);
                if next.is_empty() {
                    self.named.remove(name);
                }
                former
            }
        }
    }

    /// As deep as the deepest filter, however deep the topic is.
    fn matching<'a>(&'a self, levels: Option<&str>, visit: &mut impl FnMut(&'a K, &'a V)) {
        self.below.visit(visit);
        let Some(levels) = levels else {
            return self.here.visit(visit);
        };
        let (level, rest) = split(levels);
        if !self.named.is_empty()
            && let Some(next) = self.named.get(level)
        {
            next.matching(rest, visit);
        }
        if let Some(next) = &self.any {
            next.matching(rest, visit);
        }
    }
}

/// The entries of one filter. Most filters have one subscriber, some have the whole fleet.
#[derive(Debug)]
enum Leaf<K, V> {
    Few(Vec<(K, V)>),
    #[expect(
        clippy::box_collection,
        reason = "there are millions of leaves with few entries"
    )]
    Many(Box<HashMap<K, V>>),
}

/// Up to so many entries are searched one by one.
const FEW: usize = 16;

impl<K, V> Default for Leaf<K, V> {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl<K: Hash + Eq, V> Leaf<K, V> {
    fn is_empty(&self) -> bool {
        match self {
            Self::Few(entries) => entries.is_empty(),
            Self::Many(entries) => entries.is_empty(),
        }
    }

    fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Few(entries) => {
                if let Some((_, former)) = entries.iter_mut().find(|(other, _)| *other == key) {
                    return Some(std::mem::replace(former, value));
                }
                if entries.len() == FEW {
                    let mut many: HashMap<K, V> = entries.drain(..).collect();
                    many.insert(key, value);
                    *self = Self::Many(Box::new(many));
                } else {
                    if entries.is_empty() {
                        entries.reserve_exact(1);
                    }
                    entries.push((key, value));
                }
                None
            }
            Self::Many(entries) => entries.insert(key, value),
        }
    }

    fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Few(entries) => {
                let at = entries.iter().position(|(other, _)| other == key)?;
                Some(entries.remove(at).1)
            }
            Self::Many(entries) => {
                let former = entries.remove(key);
                if entries.len() <= FEW / 2 {
                    *self = Self::Few(entries.drain().collect());
                }
                former
            }
        }
    }

    fn visit<'a>(&'a self, visit: &mut impl FnMut(&'a K, &'a V)) {
        match self {
            Self::Few(entries) => entries.iter().for_each(|(key, value)| visit(key, value)),
            Self::Many(entries) => entries.iter().for_each(|(key, value)| visit(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::MAX_LEVELS;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::try_from(text).unwrap()
    }

    fn found(routes: &Subscriptions<u32, u32>, topic: &str) -> Vec<(u32, u32)> {
        let mut found = Vec::new();
        routes.matching(&TopicName::try_from(topic).unwrap(), |&key, &value| {
            found.push((key, value));
        });
        found.sort_unstable();
        found
    }

    #[test]
    fn an_entry_is_replaced_and_removed_by_its_key() {
        let mut routes = Subscriptions::new();
        for text in ["a/b", "a/+", "a/#"] {
            assert_eq!(routes.insert(&filter(text), 1, 10), None);
            assert_eq!(routes.insert(&filter(text), 2, 20), None);
            assert_eq!(routes.insert(&filter(text), 1, 11), Some(10));
        }
        assert_eq!(routes.len(), 6);
        assert_eq!(
            found(&routes, "a/b"),
            [(1, 11), (1, 11), (1, 11), (2, 20), (2, 20), (2, 20)]
        );
        for text in ["a/b", "a/+", "a/#"] {
            assert_eq!(routes.remove(&filter(text), &3), None);
            assert_eq!(routes.remove(&filter(text), &1), Some(11));
            assert_eq!(routes.remove(&filter(text), &1), None);
            assert_eq!(routes.remove(&filter(text), &2), Some(20));
        }
        assert!(routes.is_empty() && routes.stems.is_empty() && routes.depths == [0, 0]);
        assert_eq!(routes.remove(&filter("x/+"), &1), None);
    }

    #[test]
    fn a_filter_may_have_the_whole_fleet() {
        let mut routes = Subscriptions::new();
        for key in 0..1_000 {
            assert_eq!(routes.insert(&filter("all/#"), key, key), None);
        }
        assert_eq!(routes.insert(&filter("all/#"), 999, 0), Some(999));
        assert_eq!(found(&routes, "all/x").len(), 1_000);
        for key in 0..1_000 {
            assert!(routes.remove(&filter("all/#"), &key).is_some());
        }
        assert!(routes.stems.is_empty());
    }

    #[test]
    fn shared_filters_are_found_by_their_pattern() {
        let mut routes = Subscriptions::new();
        routes.insert(&filter("$share/g/a/+"), 1, 1);
        assert_eq!(found(&routes, "a/b"), [(1, 1)]);
        assert_eq!(routes.remove(&filter("$share/g/a/+"), &1), Some(1));
    }

    #[test]
    fn the_deepest_filter_meets_the_deepest_topic() {
        let mut routes = Subscriptions::new();
        let deepest = filter(&vec!["+"; MAX_LEVELS].join("/"));
        routes.insert(&deepest, 1, 1);
        routes.insert(&filter("#"), 2, 2);
        assert_eq!(found(&routes, &"/".repeat(65_535)), [(2, 2)]);
        assert_eq!(
            found(&routes, &"/".repeat(MAX_LEVELS - 1)),
            [(1, 1), (2, 2)]
        );
        assert_eq!(routes.remove(&deepest, &1), Some(1));
    }

    proptest! {
        /// The tree finds what comparing with each filter finds, also after half of the filters have gone.
        #[test]
        fn the_tree_agrees_with_the_filters(
            filters in prop::collection::btree_set("([ab$]|[+])(/([ab]{0,1}|[+])){0,3}(/#)?|#", 1..24),
            topics in prop::collection::vec("[ab$]?(/[ab]?){0,4}", 1..12),
        ) {
            let filters: Vec<_> = filters.iter().map(|text| filter(text)).collect();
            let mut routes = Subscriptions::new();
            for (key, filter) in filters.iter().enumerate() {
                routes.insert(filter, key, ());
            }
            for kept in [filters.len(), filters.len() / 2] {
                for (key, filter) in filters.iter().enumerate().skip(kept) {
                    prop_assert_eq!(routes.remove(filter, &key), Some(()));
                }
                for topic in topics.iter().filter_map(|text| TopicName::try_from(&**text).ok()) {
                    let mut found = BTreeSet::new();
                    routes.matching(&topic, |&key, ()| assert!(found.insert(key)));
                    let expected: BTreeSet<_> =
                        (0..kept).filter(|&key| filters[key].matches(&topic)).collect();
                    prop_assert_eq!(found, expected, "{}", topic);
                }
            }
        }
    }
}
