//! The sources of a configuration, from the weakest to the strongest.

use super::{
    Config,
    check::{self, Problem, Problems},
};
use figment::{
    Figment, Metadata, Profile, Provider, Source,
    value::{Dict, Map, Value},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file that is read when none is named and it is there.
const FILE: &str = "muster.toml";
/// What environment variables begin with.
const PREFIX: &str = "MUSTER_";
/// Longest configuration file that is read, in bytes.
const FILE_MOST: u64 = 1024 * 1024;

/// What the caller of the program chose.
#[derive(Clone, Debug, Default)]
pub struct Choices {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// The working folder, where `muster.toml` may be.
    pub folder: PathBuf,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags: the name of the flag, the key and the value.
    pub flags: Vec<(String, String, String)>,
}

impl Choices {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self {
            file: None,
            folder: PathBuf::new(),
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            flags: Vec::new(),
        }
    }

    /// Adds `--set key=value`.
    ///
    /// # Errors
    /// When there is no `=`.
    pub fn set(&mut self, assignment: &str) -> Result<(), String> {
        let (key, value) = assignment.split_once('=').ok_or_else(|| {
            format!("--set {assignment}: write --set key=value, such as --set listen.mqtt.address=0.0.0.0:1884")
        })?;
        self.flags
            .push(("--set".into(), key.trim().into(), value.trim().into()));
        Ok(())
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A configuration with the sources of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    merged: Figment,
    lines: Lines,
}

impl Loaded {
    /// Where the value of `key` comes from, in words.
    pub fn source(&self, key: &str) -> String {
        let Some(metadata) = self.merged.find_metadata(key) else {
            return "default".into();
        };
        words(metadata, key, &self.lines)
    }
}

fn words(metadata: &Metadata, key: &str, lines: &Lines) -> String {
    match &metadata.source {
        Some(Source::File(path)) => match lines.of(key) {
            Some(line) => format!("{} line {line}", path.display()),
            None => path.display().to_string(),
        },
        Some(Source::Code(_)) => "default".into(),
        _ => metadata.name.to_string(),
    }
}

/// One source: some values under one name.
struct Layer {
    metadata: Metadata,
    values: Dict,
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        self.metadata.clone()
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// On which line of the file a key stands.
#[derive(Clone, Debug, Default)]
struct Lines(Vec<(String, usize)>);

impl Lines {
    fn read(text: &str) -> Self {
        let mut lines = Vec::new();
        if let Ok(table) = toml::de::DeTable::parse(text) {
            walk(table.get_ref(), "", text, &mut lines);
        }
        Self(lines)
    }

    fn of(&self, key: &str) -> Option<usize> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, line)| *line)
    }
}

fn walk(table: &toml::de::DeTable<'_>, prefix: &str, text: &str, lines: &mut Vec<(String, usize)>) {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        let before = text.as_bytes().iter().take(name.span().start);
        lines.push((
            key.clone(),
            1 + before.filter(|byte| **byte == b'\n').count(),
        ));
        if let toml::de::DeValue::Table(inner) = value.get_ref() {
            walk(inner, &format!("{key}."), text, lines);
        }
    }
}

pub(super) fn merge(choices: &Choices) -> Result<Loaded, Problems> {
    let mut problems = Vec::new();
    let mut merged = Figment::from(figment::providers::Serialized::defaults(Config::default()));
    let mut lines = Lines::default();
    if let Some(path) = file(choices) {
        match read_file(&path) {
            Ok((values, read)) => {
                lines = read;
                let metadata = Metadata::from("file", Source::File(path));
                merged = merged.merge(Layer { metadata, values });
            }
            Err(problem) => problems.push(problem),
        }
    }
    for (name, value) in &choices.environment {
        match variable(name) {
            Variable::Foreign => {}
            Variable::Misspelt(instead) => problems.push(Problem {
                key: name.clone(),
                source: "environment".into(),
                wrong: "levels of a key are parted by two underscores".into(),
                instead,
            }),
            Variable::Key(key) => {
                let metadata = Metadata::named(format!("environment {name}"));
                let values = nested(&key, value);
                merged = merged.merge(Layer { metadata, values });
            }
        }
    }
    for (flag, key, value) in &choices.flags {
        let name = match flag.as_str() {
            "--set" => format!("flag --set {key}"),
            other => format!("flag {other}"),
        };
        let metadata = Metadata::named(name);
        let values = nested(key, value);
        merged = merged.merge(Layer { metadata, values });
    }
    let config = match merged.extract_lossy::<Config>() {
        Ok(config) => config,
        Err(errors) => {
            problems.extend(errors.into_iter().map(|error| mistake(&error, &lines)));
            return Err(Problems(problems));
        }
    };
    if problems.is_empty() {
        Ok(Loaded {
            config,
            merged,
            lines,
        })
    } else {
        Err(Problems(problems))
    }
}

fn file(choices: &Choices) -> Option<PathBuf> {
    let beside = choices.folder.join(FILE);
    choices
        .file
        .clone()
        .or_else(|| choices.variable("MUSTER_CONFIG").map(PathBuf::from))
        .or_else(|| beside.is_file().then_some(beside))
}

fn read_file(path: &Path) -> Result<(Dict, Lines), Problem> {
    let problem = |wrong: String, instead: &str| Problem {
        key: "--config".into(),
        source: path.display().to_string(),
        wrong,
        instead: instead.into(),
    };
    let unreadable = |error: io::Error| {
        problem(
            format!("cannot be read: {error}"),
            "name a file that this user may read, or leave --config out to use the defaults",
        )
    };
    if fs::metadata(path).map_err(unreadable)?.len() > FILE_MOST {
        return Err(problem(
            "is longer than a mebibyte".into(),
            "name the configuration file; `muster config print` writes one",
        ));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        problem(
            format!("is not TOML:\n{}", error.to_string().trim_end()),
            "mend that line; `muster config print` shows how the file is written",
        )
    })?;
    match Value::serialize(&table) {
        Ok(Value::Dict(_, values)) => Ok((values, Lines::read(&text))),
        Ok(_) | Err(_) => Err(problem(
            "holds something that is not a table".into(),
            "write keys and sections as `muster config print` shows them",
        )),
    }
}

/// What an environment variable is to us.
enum Variable {
    /// Not ours, or for the command line (`MUSTER_URL`).
    Foreign,
    /// A key.
    Key(String),
    /// Most likely meant as a key; what to write instead.
    Misspelt(String),
}

fn variable(name: &str) -> Variable {
    let Some(rest) = name.strip_prefix(PREFIX) else {
        return Variable::Foreign;
    };
    let key = rest.to_ascii_lowercase();
    if key.contains("__") {
        return Variable::Key(key.replace("__", "."));
    }
    if key == "data" || key == "node" || key == "store" {
        return Variable::Key(key);
    }
    for known in check::keys() {
        if known.contains('.') && known.replace('.', "_") == key {
            let instead = known.replace('.', "__").to_ascii_uppercase();
            return Variable::Misspelt(format!("write {PREFIX}{instead}"));
        }
    }
    Variable::Foreign
}

/// Values of flags and variables are texts, in quotes or not; where a number or a switch is wanted
/// they are read as such later. Lists are written as in TOML (`["a", "b"]`), or with commas.
fn nested(key: &str, text: &str) -> Dict {
    let text = text.trim();
    let value = match toml::from_str::<toml::Table>(&format!("value = {text}")) {
        Ok(mut table) => table.remove("value"),
        Err(_) => None,
    };
    let value = match value {
        Some(toml::Value::String(inner)) => Value::from(inner),
        Some(toml::Value::Array(items)) => Value::from(
            items
                .into_iter()
                .map(|item| match item {
                    toml::Value::String(inner) => Value::from(inner),
                    other => Value::from(other.to_string()),
                })
                .collect::<Vec<_>>(),
        ),
        _ if check::is_list(key) => Value::from(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::from(part.to_owned()))
                .collect::<Vec<_>>(),
        ),
        _ => Value::from(text.to_owned()),
    };
    match figment::util::nest(key, value) {
        Value::Dict(_, values) => values,
        _ => Dict::new(),
    }
}

fn mistake(error: &figment::Error, lines: &Lines) -> Problem {
    use figment::error::Kind;
    let mut key = error.path.join(".");
    let wrong = match &error.kind {
        Kind::UnknownField(name, _) => {
            if !key.ends_with(name.as_str()) {
                if !key.is_empty() {
                    key.push('.');
                }
                key.push_str(name);
            }
            "there is no such key".to_owned()
        }
        other => other.to_string(),
    };
    let instead = match &error.kind {
        Kind::UnknownField(..) => match check::nearest(&key) {
            Some(near) => format!("did you mean `{near}`? `muster config print` lists all keys"),
            None => "leave it out; `muster config print` lists all keys".into(),
        },
        _ => check::advice(&key).to_owned(),
    };
    let source = error
        .metadata
        .as_ref()
        .map_or_else(|| "default".into(), |metadata| words(metadata, &key, lines));
    Problem {
        key,
        source,
        wrong,
        instead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn choices(folder: &Path, text: &str) -> Choices {
        fs::write(folder.join(FILE), text).unwrap();
        Choices {
            folder: folder.into(),
            ..Choices::default()
        }
    }

    /// A later source wins, and every value tells where it comes from.
    #[test]
    fn defaults_then_file_then_environment_then_flags() {
        let folder = tempfile::tempdir().unwrap();
        let mut choices = choices(
            folder.path(),
            "node = \"from-file\"\n\n[limits]\nproducts = 7\nusers = 8\n\n[listen.http]\noff = true\n",
        );
        choices.environment = vec![
            ("MUSTER_LIMITS__PRODUCTS".into(), "9".into()),
            (
                "MUSTER_LISTEN__MQTT__ADDRESS".into(),
                "127.0.0.1:11883".into(),
            ),
            ("MUSTER_LISTEN__MQTTS__ADDRESS".into(), "\"[::1]:0\"".into()),
            ("MUSTER_LISTEN__HTTPS__OFF".into(), "true".into()),
            ("MUSTER_TLS__MIN_VERSION".into(), "1.1".into()),
            ("MUSTER_TLS__NAMES".into(), "iot.example, 192.0.2.1".into()),
            ("MUSTER_URL".into(), "https://elsewhere".into()),
            ("HOME".into(), "/nowhere".into()),
        ];
        choices.set("limits.products=10").unwrap();
        choices.set("data = /srv/muster").unwrap();
        let loaded = Config::load(&choices).unwrap();
        let config = &loaded.config;
        assert_eq!(config.node, "from-file");
        assert_eq!(config.limits.products, 10);
        assert_eq!(config.limits.users, 8);
        assert!(config.listen.http.off);
        assert_eq!(config.listen.mqtt.address.port(), 11883);
        assert_eq!(config.listen.mqtts.address.to_string(), "[::1]:0");
        assert!(config.listen.https.off);
        assert_eq!(config.tls.min_version, super::super::MinVersion::V1_1);
        assert_eq!(config.tls.names, ["iot.example", "192.0.2.1"]);
        assert_eq!(config.data, Path::new("/srv/muster"));
        assert_eq!(
            loaded.source("limits.products"),
            "flag --set limits.products"
        );
        assert_eq!(
            loaded.source("limits.users"),
            format!("{} line 5", folder.path().join(FILE).display())
        );
        assert_eq!(
            loaded.source("listen.mqtt.address"),
            "environment MUSTER_LISTEN__MQTT__ADDRESS"
        );
        assert_eq!(loaded.source("log.level"), "default");
    }

    #[test]
    fn a_file_that_is_named_must_be_there() {
        let choices = Choices {
            file: Some("/nowhere/muster.toml".into()),
            ..Choices::default()
        };
        let text = Config::load(&choices).unwrap_err().to_string();
        assert!(text.contains("/nowhere/muster.toml"), "{text}");
        assert!(text.contains("cannot be read"), "{text}");
    }

    #[test]
    fn a_flag_without_a_value_says_how_to_write_it() {
        let error = Choices::default().set("limits.products").unwrap_err();
        assert!(error.contains("--set key=value"), "{error}");
    }
}
