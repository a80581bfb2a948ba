//! Opens everything that is packed in an image, into one flat list of files.

use std::collections::HashMap;

use bytes::Bytes;
use credential::crypto::digest::Hash;

pub use crate::format::Kind;
use crate::{
    Class, Fault, Limits,
    carve::{self, Found},
    format::{Entry, Opened},
    limits::{Budget, Limit},
    path,
};

/// All that was found in one image.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// What holds files, outermost first.
    pub volumes: Vec<Volume>,
    /// Every file, folder, link and special file of every volume.
    pub files: Vec<File>,
    /// Stretches of containers that no format claims.
    pub regions: Vec<Region>,
    /// What could not be read, with the chain of where.
    pub faults: Vec<(String, Fault)>,
    /// The limit that ended the unpacking before everything was seen, if one did.
    pub stopped: Option<Limit>,
}

/// A container, archive, stream or file system.
#[derive(Debug)]
pub struct Volume {
    /// Names from the image down to this, such as `a.bin/trx@0x0/rootfs/squashfs@0x0`.
    pub chain: String,
    /// The format's name.
    pub format: &'static str,
    /// What kind of thing it is.
    pub class: Class,
    /// Offset in what holds it.
    pub offset: usize,
    /// Bytes that belong to it.
    pub size: usize,
    /// Words of its header.
    pub facts: Vec<(&'static str, String)>,
}

/// An entry of a volume.
#[derive(Debug)]
pub struct File {
    /// Index of its volume.
    pub volume: usize,
    /// From the volume's root; begins with `/`, without `.` and `..`.
    pub path: String,
    /// What it is, with its bytes.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Whether it was a container and its content is listed as a volume.
    pub opened: bool,
}

impl File {
    /// The bytes of a regular file.
    #[must_use]
    pub fn bytes(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::File(bytes) => Some(bytes),
            Kind::Folder | Kind::Link(_) | Kind::Special => None,
        }
    }

    /// The file's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// Bytes that no format claims.
#[derive(Debug)]
pub struct Region {
    /// The chain of what holds it.
    pub chain: String,
    /// Offset in that.
    pub offset: usize,
    /// The bytes.
    pub bytes: Bytes,
    /// Bits of entropy a byte, 0 to 8: near 8 is compressed or encrypted.
    pub entropy: f64,
}

impl Unpacked {
    /// The chain of names down to a file.
    #[must_use]
    pub fn chain(&self, file: &File) -> String {
        format!("{}{}", self.volumes[file.volume].chain, file.path)
    }

    /// The file that `path` of a volume leads to, links followed inside the volume.
    #[must_use]
    pub fn lookup(&self, volume: usize, path: &str) -> Option<&File> {
        let mut path = path.to_owned();
        for _ in 0..16 {
            let file = self
                .files
                .iter()
                .find(|f| f.volume == volume && f.path == path)?;
            match &file.kind {
                Kind::Link(target) => path = path::resolve(&file.path, target),
                _ => return Some(file),
            }
        }
        None
    }

    /// Names of the file systems, outermost first, each once.
    #[must_use]
    pub fn filesystems(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        for volume in &self.volumes {
            if volume.class == Class::Filesystem && !names.contains(&volume.format) {
                names.push(volume.format);
            }
        }
        names
    }
}

/// Regions smaller than this are padding and scraps.
const REGION_MIN: usize = 64;

/// Opens `image`, and what is in it, within `limits`. `stop` is asked often and ends the work when
/// it says yes; what was found until then is returned.
#[must_use]
pub fn unpack(name: &str, image: Bytes, limits: &Limits, stop: &dyn Fn() -> bool) -> Unpacked {
    let mut work = Work {
        budget: Budget::new(limits, stop),
        found: Unpacked::default(),
        seen: HashMap::new(),
    };
    let whole = Blob {
        chain: path::printable(name.as_bytes()),
        bytes: image,
        depth: 0,
        raw: true,
        file: None,
    };
    let mut line = vec![whole];
    while let Some(blob) = line.pop() {
        if let Err(fault) = work.open(&blob, &mut line) {
            if let Fault::Limit(limit) = fault {
                work.found.stopped = Some(limit);
            }
            work.found.faults.push((blob.chain, fault));
            break;
        }
    }
    work.found
}

/// Something that may be a container.
struct Blob {
    chain: String,
    bytes: Bytes,
    depth: usize,
    /// Whether containers are looked for at every offset.
    raw: bool,
    /// Which file it is.
    file: Option<usize>,
}

struct Work<'a> {
    budget: Budget<'a>,
    found: Unpacked,
    /// Containers by the digest of their bytes: the same one is opened once.
    seen: HashMap<Vec<u8>, String>,
}

impl Work<'_> {
    /// Fails only when nothing more can be done.
    fn open(&mut self, blob: &Blob, line: &mut Vec<Blob>) -> Result<(), Fault> {
        if blob.depth > self.budget.limits.depth {
            self.fault(&blob.chain, Limit::Depth.into());
            return Ok(());
        }
        let finds = match carve::at_start(&blob.bytes, &mut self.budget)? {
            Found::Opened(find) => {
                if self.again(blob) {
                    return Ok(());
                }
                let used = find.opened.used;
                let mut finds = vec![find];
                if blob.raw && used < blob.bytes.len() {
                    carve::search(&blob.bytes, used, &mut self.budget, &mut finds)?;
                }
                finds
            }
            Found::Nothing(fault) => {
                if let Some(fault) = fault {
                    self.fault(&blob.chain, fault);
                }
                if !blob.raw || self.again(blob) {
                    return Ok(());
                }
                let mut finds = Vec::new();
                carve::search(&blob.bytes, 0, &mut self.budget, &mut finds)?;
                finds
            }
        };
        if let Some(file) = blob.file.filter(|_| !finds.is_empty()) {
            self.found.files[file].opened = true;
        }
        if finds.is_empty() && blob.file.is_some() {
            // A file in which nothing is packed is just a file.
            return Ok(());
        }
        let mut at = 0;
        let mut inner = Vec::new();
        for find in finds {
            self.region(blob, at, find.offset);
            at = find.offset + find.opened.used;
            self.volume(blob, find.offset, find.format, find.opened, &mut inner);
        }
        if blob.raw {
            self.region(blob, at, blob.bytes.len());
        }
        // Depth first and in order, so that chains read as the image lies.
        line.extend(inner.into_iter().rev());
        Ok(())
    }

    fn again(&mut self, blob: &Blob) -> bool {
        let digest = Hash::Sha256.digest(&blob.bytes);
        if self.seen.contains_key(&digest) {
            return true;
        }
        self.seen.insert(digest, blob.chain.clone());
        false
    }

    fn fault(&mut self, chain: &str, fault: Fault) {
        const MOST: usize = 10_000;
        if self.found.faults.len() < MOST {
            self.found.faults.push((chain.to_owned(), fault));
        }
    }

    fn region(&mut self, blob: &Blob, from: usize, to: usize) {
        if to <= from || to - from < REGION_MIN {
            return;
        }
        let bytes = blob.bytes.slice(from..to);
        if carve::is_padding(&bytes) {
            return;
        }
        self.found.regions.push(Region {
            chain: blob.chain.clone(),
            offset: from,
            entropy: carve::entropy(&bytes),
            bytes,
        });
    }

    fn volume(
        &mut self,
        blob: &Blob,
        offset: usize,
        format: &'static crate::format::Format,
        opened: Opened,
        inner: &mut Vec<Blob>,
    ) {
        let chain = format!("{}/{}@{offset:#x}", blob.chain, format.name);
        for fault in opened.faults {
            self.fault(&chain, fault);
        }
        let volume = self.found.volumes.len();
        self.found.volumes.push(Volume {
            chain: chain.clone(),
            format: format.name,
            class: format.class,
            offset,
            size: opened.used,
            facts: opened.facts,
        });
        for entry in opened.entries {
            let Entry {
                path,
                kind,
                mode,
                uid,
                gid,
            } = entry;
            if let Kind::File(bytes) = &kind
                && !bytes.is_empty()
            {
                inner.push(Blob {
                    chain: format!("{chain}{path}"),
                    bytes: bytes.clone(),
                    depth: blob.depth + 1,
                    raw: is_raw(format.class, &path, bytes),
                    file: Some(self.found.files.len()),
                });
            }
            self.found.files.push(File {
                volume,
                path,
                kind,
                mode,
                uid,
                gid,
                opened: false,
            });
        }
    }
}

/// Whether containers may lie anywhere in a file. Parts of containers and streams are raw; of the
/// files of a file system only those are that their name says hold an image.
fn is_raw(class: Class, path: &str, bytes: &[u8]) -> bool {
    const IMAGES: &[&str] = &[
        ".bin", ".img", ".trx", ".fw", ".chk", ".rom", ".itb", ".fit", ".ubi", ".dat", ".raw",
        ".image", ".uimage", ".w", ".pkg", ".pkgtb", ".web", ".dlf",
    ];
    const NAMES: &[&str] = &[
        "vmlinux", "zimage", "bzimage", "image", "uimage", "vmlinuz", "kernel",
    ];
    if bytes.starts_with(b"\x7fELF") && !NAMES.iter().any(|n| path.ends_with(n)) {
        return false;
    }
    match class {
        Class::Container | Class::Compression => true,
        Class::Filesystem | Class::Archive => {
            let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
            IMAGES.iter().any(|end| name.ends_with(end))
                || NAMES.iter().any(|start| name.starts_with(start))
        }
    }
}
