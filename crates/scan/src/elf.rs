//! What an ELF file tells about itself: machine, libraries, hardening, symbols (System V ABI,
//! chapters 4 and 5). Read from the program headers, because firmware is often stripped of sections.

use crate::{Fault, view::View};

/// What kind of ELF file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfKind {
    /// A program.
    Program,
    /// A shared library.
    Library,
    /// A relocatable object, such as a kernel module.
    Object,
    /// A core dump or something of an operating system's own.
    Other,
}

/// How much of the relocation tables is read-only after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relro {
    /// Nothing.
    None,
    /// All but the lazily bound functions.
    Partial,
    /// All.
    Full,
}

/// The facts of one ELF file.
#[derive(Debug, Clone)]
pub struct Elf {
    /// Machine, width, byte order and floating point, such as `arm-32-little-softfloat`.
    pub arch: String,
    /// Program, library or object.
    pub kind: ElfKind,
    /// The loader that it asks for; none when it is static.
    pub interpreter: Option<String>,
    /// Its name as a library.
    pub soname: Option<String>,
    /// Libraries that it asks for.
    pub needed: Vec<String>,
    /// Where it looks for them first.
    pub runpath: Vec<String>,
    /// Whether the stack may not be executed; none where the file does not say.
    pub nx: Option<bool>,
    /// Whether a program may be loaded anywhere.
    pub pie: bool,
    /// Read-only relocations.
    pub relro: Relro,
    /// Whether it has no table of symbols for debuggers.
    pub stripped: bool,
    /// Names that it takes from libraries.
    pub imports: Vec<String>,
    /// Names that it defines for others.
    pub exports: Vec<String>,
}

const MOST_SYMBOLS: usize = 200_000;
const MACHINES: &[(u16, &str)] = &[
    (3, "x86"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64"),
    (40, "arm"),
    (42, "sh"),
    (62, "x86_64"),
    (93, "arc"),
    (94, "xtensa"),
    (183, "aarch64"),
    (195, "arcv2"),
    (243, "riscv"),
    (258, "loongarch"),
];

struct Segment {
    kind: u32,
    flags: u32,
    offset: usize,
    address: u64,
    size: usize,
}

/// Reader of words that are four or eight bytes wide.
#[derive(Clone, Copy)]
struct File<'a> {
    view: View<'a>,
    wide: bool,
}

impl File<'_> {
    fn word(self, at: usize) -> Result<u64, Fault> {
        if self.wide {
            self.view.u64(at)
        } else {
            self.view.u32(at).map(u64::from)
        }
    }

    fn place(self, at: usize) -> Result<usize, Fault> {
        usize::try_from(self.word(at)?).map_err(|_| Fault::Malformed("elf offset"))
    }
}

impl Elf {
    /// Reads the headers of `bytes`.
    ///
    /// # Errors
    /// When it is no ELF file or its headers lie outside of it; tables that are damaged are left out.
    pub fn read(bytes: &[u8]) -> Result<Elf, Fault> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err(Fault::Malformed("elf magic"));
        }
        let head = View::little(bytes);
        let wide = head.u8(4)? == 2;
        let big = head.u8(5)? == 2;
        let file = File {
            view: View::ordered(bytes, big),
            wide,
        };
        let view = file.view;
        let kind = match view.u16(16)? {
            1 => ElfKind::Object,
            2 => ElfKind::Program,
            3 => ElfKind::Library,
            _ => ElfKind::Other,
        };
        let machine = view.u16(18)?;
        let flags = view.u32(if wide { 48 } else { 36 })?;
        let segments = segments(file).unwrap_or_default();
        let mut elf = Elf {
            arch: arch(machine, wide, big, flags),
            kind,
            interpreter: None,
            soname: None,
            needed: Vec::new(),
            runpath: Vec::new(),
            nx: None,
            pie: false,
            relro: Relro::None,
            stripped: !has_symtab(file).unwrap_or(false),
            imports: Vec::new(),
            exports: Vec::new(),
        };
        for segment in &segments {
            match segment.kind {
                3 => elf.interpreter = view.text(segment.offset, segment.size.min(256)).ok(),
                0x6474_e551 => elf.nx = Some(segment.flags & 1 == 0),
                0x6474_e552 => elf.relro = Relro::Partial,
                _ => {}
            }
        }
        if let Some(dynamic) = segments.iter().find(|s| s.kind == 2) {
            // A damaged table leaves what was read before.
            _ = elf.dynamic(file, dynamic, &segments);
        }
        let loaded = elf.kind == ElfKind::Library && elf.interpreter.is_some();
        elf.pie |= loaded && elf.soname.is_none();
        if elf.pie {
            elf.kind = ElfKind::Program;
        }
        Ok(elf)
    }

    fn dynamic(&mut self, file: File<'_>, own: &Segment, all: &[Segment]) -> Result<(), Fault> {
        let (size, half) = if file.wide { (16, 8) } else { (8, 4) };
        let mut tags = Vec::new();
        for index in 0..(own.size / size).min(4096) {
            let at = own.offset + index * size;
            match file.word(at)? {
                0 => break,
                tag => tags.push((tag, file.word(at + half)?)),
            }
        }
        let tag = |wanted: u64| tags.iter().find(|(t, _)| *t == wanted).map(|(_, v)| *v);
        let offset = |address: u64| {
            all.iter()
                .filter(|s| s.kind == 1)
                .find_map(|s| {
                    let into = usize::try_from(address.checked_sub(s.address)?).ok()?;
                    (into < s.size).then(|| s.offset.checked_add(into))?
                })
                .ok_or(Fault::Malformed("elf address"))
        };
        let bound_now = tag(24).is_some()
            || tag(30).is_some_and(|f| f & 8 != 0)
            || tag(0x6fff_fffb).is_some_and(|f| f & 1 != 0);
        if bound_now && self.relro == Relro::Partial {
            self.relro = Relro::Full;
        }
        self.pie = tag(0x6fff_fffb).is_some_and(|f| f & 0x0800_0000 != 0);
        let strings = offset(tag(5).ok_or(Fault::Malformed("elf strings"))?)?;
        let room = tag(10)
            .and_then(|s| usize::try_from(s).ok())
            .unwrap_or(0)
            .min(file.view.len().saturating_sub(strings));
        let names = file.view.part(strings, room)?;
        let text = |at: u64| -> Result<String, Fault> {
            let at = usize::try_from(at).map_err(|_| Fault::Malformed("elf string"))?;
            names.text(at, room.saturating_sub(at).min(512))
        };
        for (tag, value) in &tags {
            match tag {
                1 if self.needed.len() < 1024 => self.needed.push(text(*value)?),
                14 => self.soname = Some(text(*value)?),
                15 | 29 => self
                    .runpath
                    .extend(text(*value)?.split(':').map(str::to_owned)),
                _ => {}
            }
        }
        let symbols = offset(tag(6).ok_or(Fault::Malformed("elf symbols"))?)?;
        let width = if file.wide { 24 } else { 16 };
        // The hash table tells how many there are; else they end where their names begin.
        let count = match tag(4).map(offset) {
            Some(Ok(hash)) => file.view.at32(hash + 4)?,
            _ if strings > symbols => (strings - symbols) / width,
            _ => 0,
        };
        for index in 1..count.min(MOST_SYMBOLS) {
            let at = symbols + index * width;
            let (info, section) = if file.wide {
                (file.view.u8(at + 4)?, file.view.u16(at + 6)?)
            } else {
                (file.view.u8(at + 12)?, file.view.u16(at + 14)?)
            };
            if info >> 4 == 0 {
                continue;
            }
            let name = text(u64::from(file.view.u32(at)?))?;
            if section == 0 {
                self.imports.push(name);
            } else {
                self.exports.push(name);
            }
        }
        Ok(())
    }

    /// Whether it takes or defines that name.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.imports.iter().chain(&self.exports).any(|n| n == name)
    }

    /// Whether a library of that stem, such as `libssl`, is asked for.
    #[must_use]
    pub fn needs(&self, stem: &str) -> bool {
        self.needed.iter().any(|name| is_of_stem(name, stem))
    }

    /// Whether it is the library of that stem.
    #[must_use]
    pub fn is(&self, stem: &str) -> bool {
        self.soname.as_deref().is_some_and(|s| is_of_stem(s, stem))
    }
}

/// `libssl.so.3` and `libssl-1.1.so` are of the stem `libssl`, `libsslcommon.so` is not.
pub(crate) fn is_of_stem(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| {
        !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
            || rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

fn segments(file: File<'_>) -> Result<Vec<Segment>, Fault> {
    let (table, size, count) = if file.wide {
        (file.place(32)?, 54, 56)
    } else {
        (file.place(28)?, 42, 44)
    };
    let (size, count) = (
        usize::from(file.view.u16(size)?),
        usize::from(file.view.u16(count)?),
    );
    if size < 32 {
        return Ok(Vec::new());
    }
    (0..count.min(256))
        .map(|index| {
            let entry = file.view.part(
                table
                    .checked_add(index * size)
                    .ok_or(Fault::Malformed("elf table"))?,
                size,
            )?;
            let entry = File {
                view: entry,
                wide: file.wide,
            };
            Ok(if file.wide {
                Segment {
                    kind: entry.view.u32(0)?,
                    flags: entry.view.u32(4)?,
                    offset: entry.place(8)?,
                    address: entry.word(16)?,
                    size: entry.place(32)?,
                }
            } else {
                Segment {
                    kind: entry.view.u32(0)?,
                    offset: entry.place(4)?,
                    address: entry.word(8)?,
                    size: entry.place(16)?,
                    flags: entry.view.u32(24)?,
                }
            })
        })
        .collect()
}

/// The content of the section of that name.
pub(crate) fn section<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let head = View::little(bytes);
    let (wide, big) = (head.u8(4).ok()? == 2, head.u8(5).ok()? == 2);
    let file = File {
        view: View::ordered(bytes, big),
        wide,
    };
    let (table, sizes) = if wide { (40, 58) } else { (32, 46) };
    let table = file.place(table).ok()?;
    let [size, count, names] = [0, 2, 4].map(|at| file.view.u16(sizes + at).map_or(0, usize::from));
    // Name, kind, flags, address, offset, size.
    let place = |index: usize| {
        let at = table.checked_add(index.checked_mul(size)?)?;
        let (offset, length) = if wide { (24, 32) } else { (16, 20) };
        let offset = file.place(at.checked_add(offset)?).ok()?;
        let end = offset.checked_add(file.place(at + length).ok()?)?;
        Some((file.view.at32(at).ok()?, bytes.get(offset..end)?))
    };
    let (_, texts) = place(names)?;
    (0..count.min(4096))
        .filter_map(place)
        .find_map(|(at, content)| {
            let rest = texts.get(at..)?.strip_prefix(name.as_bytes())?;
            (rest.first() == Some(&0)).then_some(content)
        })
}

fn has_symtab(file: File<'_>) -> Result<bool, Fault> {
    let (table, size, count) = if file.wide {
        (file.place(40)?, 58, 60)
    } else {
        (file.place(32)?, 46, 48)
    };
    let (size, count) = (
        usize::from(file.view.u16(size)?),
        usize::from(file.view.u16(count)?),
    );
    for index in 0..count.min(4096) {
        let at = table
            .checked_add(index * size + 4)
            .ok_or(Fault::Malformed("elf table"))?;
        if file.view.u32(at)? == 2 {
            return Ok(true);
        }
    }
    Ok(false)
}

fn arch(machine: u16, wide: bool, big: bool, flags: u32) -> String {
    let name = MACHINES.iter().find(|(n, _)| *n == machine).map_or_else(
        || format!("machine{machine}"),
        |(_, name)| (*name).to_owned(),
    );
    let mut arch = format!(
        "{name}-{}-{}",
        if wide { 64 } else { 32 },
        if big { "big" } else { "little" }
    );
    match machine {
        40 if flags & 0x400 != 0 => arch.push_str("-hardfloat"),
        40 if flags & 0x200 != 0 => arch.push_str("-softfloat"),
        8 => {
            const ISA: [&str; 11] = [
                "mips1", "mips2", "mips3", "mips4", "mips5", "mips32", "mips64", "mips32r2",
                "mips64r2", "mips32r6", "mips64r6",
            ];
            if let Some(isa) = ISA.get((flags >> 28) as usize) {
                arch.push('-');
                arch.push_str(isa);
            }
        }
        _ => {}
    }
    arch
}
