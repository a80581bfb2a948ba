//! Pages: text that is broken into lines, rows of cells, bars. First everything is placed, then it is
//! painted, since each page tells how many there are.

use krilla::{
    Document,
    action::{Action, LinkAction},
    annotation::{LinkAnnotation, Target},
    color::rgb,
    destination::XyzDestination,
    geom::{PathBuilder, Point, Rect},
    metadata::Metadata,
    num::NormalizedF32,
    outline::{Outline, OutlineNode},
    page::PageSettings,
    paint::{Fill, Stroke},
    surface::Surface,
    text::{GlyphId, KrillaGlyph},
};

use super::face::Face;

/// A4, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
pub(super) const LEFT: f32 = 42.0;
const TOP: f32 = 46.0;
const BOTTOM: f32 = HEIGHT - 46.0;
/// What stands between both margins.
pub(super) const ROOM: f32 = WIDTH - 2.0 * LEFT;
/// Between cells of a row.
const GAP: f32 = 8.0;
/// A line's height for one point of its letters.
const LEADING: f32 = 1.42;

/// A colour.
pub(super) type Ink = (u8, u8, u8);
pub(super) const BLACK: Ink = (29, 35, 48);
pub(super) const SOFT: Ink = (91, 100, 117);
pub(super) const LINE: Ink = (221, 226, 236);

/// How letters look.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Style {
    pub(super) size: f32,
    pub(super) ink: Ink,
    pub(super) bold: bool,
}

/// Text of one look; an address when it leads somewhere.
#[derive(Clone)]
pub(super) struct Span {
    text: String,
    style: Style,
    link: Option<String>,
}

impl Span {
    pub(super) fn new(text: impl Into<String>, style: Style) -> Span {
        Span {
            text: text.into(),
            style,
            link: None,
        }
    }

    pub(super) fn to(self, address: String) -> Span {
        Span {
            link: Some(address),
            ..self
        }
    }
}

/// What is broken into lines together.
pub(super) type Paragraph = Vec<Span>;

/// A cell of a row: its width and what it holds.
pub(super) type Cell = (f32, Vec<Paragraph>);

/// A piece of a line.
struct Run {
    at: (f32, f32),
    width: f32,
    text: String,
    style: Style,
    link: Option<String>,
}

/// The size of its letters, and its pieces.
type Line = (f32, Vec<Run>);

#[derive(Default)]
struct Page {
    bars: Vec<((f32, f32, f32, f32), Ink)>,
    runs: Vec<Run>,
}

pub(super) struct Sheet {
    face: Face,
    pages: Vec<Page>,
    y: f32,
    /// Titles, with page and height.
    titles: Vec<(String, usize, f32)>,
}

impl Sheet {
    pub(super) fn new(face: Face) -> Sheet {
        Sheet {
            face,
            pages: vec![Page::default()],
            y: TOP,
            titles: Vec::new(),
        }
    }

    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    pub(super) fn down(&mut self, by: f32) {
        self.y += by;
    }

    /// Sees to it that so much fits on the page.
    pub(super) fn need(&mut self, height: f32) {
        if self.y + height > BOTTOM && self.y > TOP {
            self.pages.push(Page::default());
            self.y = TOP;
        }
    }

    fn page(&mut self) -> &mut Page {
        let last = self.pages.len() - 1;
        &mut self.pages[last]
    }

    /// A filled rectangle, `down` from where the next line begins.
    pub(super) fn bar(&mut self, x: f32, down: f32, width: f32, height: f32, ink: Ink) {
        let y = self.y + down;
        self.page().bars.push(((x, y, width, height), ink));
    }

    /// One line of text, `down` from where the next line begins; cut where `width` ends.
    pub(super) fn put(&mut self, x: f32, down: f32, width: f32, span: Span) {
        let y = self.y + down + span.style.size;
        if let Some(line) = self.lines(&vec![span], width).into_iter().next() {
            self.line(x, y, line);
        }
    }

    /// The width of a text on one line.
    pub(super) fn width(&self, span: &Span) -> f32 {
        let text = self.face.spelled(&span.text);
        let ems: f32 = text
            .chars()
            .filter_map(|c| self.face.glyph(c))
            .map(|g| g.1)
            .sum();
        ems * span.style.size
    }

    /// A title, which the list of contents leads to.
    pub(super) fn title(&mut self, span: Span) {
        self.need(90.0);
        let page = self.pages.len() - 1;
        self.titles.push((span.text.clone(), page, self.y));
        self.row(&[(ROOM, vec![vec![span]])], None);
    }

    /// A row: cells beside each other, each on as many lines as it needs, with a stripe of a colour
    /// before it. A row that is not too high stays on one page.
    pub(super) fn row(&mut self, cells: &[Cell], stripe: Option<Ink>) {
        let cells: Vec<(f32, Vec<Line>)> = cells
            .iter()
            .map(|(width, paragraphs)| {
                let lines = paragraphs.iter().flat_map(|paragraph| {
                    let size = paragraph.iter().map(|s| s.style.size).fold(0.0, f32::max);
                    let lines = self.lines(paragraph, width - GAP);
                    lines.into_iter().map(move |line| (size, line))
                });
                (*width, lines.collect())
            })
            .collect();
        let height = |lines: &[Line]| -> f32 { lines.iter().map(|(size, _)| size * LEADING).sum() };
        let whole = cells
            .iter()
            .map(|(_, lines)| height(lines))
            .fold(0.0, f32::max);
        if whole < (BOTTOM - TOP) / 2.0 {
            self.need(whole);
        }
        let mut cells: Vec<_> = cells
            .into_iter()
            .map(|(width, lines)| (width, lines.into_iter().peekable()))
            .collect();
        loop {
            let (start, mut end, mut x) = (self.y, self.y, LEFT);
            for (width, lines) in &mut cells {
                let mut y = start;
                while let Some((size, line)) =
                    lines.next_if(|(size, _)| y + size * LEADING <= BOTTOM || y <= TOP)
                {
                    self.line(x, y + size * 1.05, line);
                    y += size * LEADING;
                }
                end = end.max(y);
                x += *width;
            }
            if let Some(ink) = stripe {
                self.bar(LEFT - 7.0, 1.0, 2.5, end - start - 1.0, ink);
            }
            self.y = end;
            if cells.iter_mut().all(|(_, lines)| lines.peek().is_none()) {
                return;
            }
            self.need(HEIGHT);
        }
    }

    /// A thin line across.
    pub(super) fn rule(&mut self) {
        self.bar(LEFT, 2.0, ROOM, 0.5, LINE);
        self.y += 5.0;
    }

    fn line(&mut self, x: f32, y: f32, line: Vec<Run>) {
        for mut run in line {
            run.at = (x + run.at.0, y);
            self.page().runs.push(run);
        }
    }

    /// Breaks a paragraph into lines; runs stand where they are in their line.
    fn lines(&self, paragraph: &Paragraph, width: f32) -> Vec<Vec<Run>> {
        let mut letters: Vec<(char, f32, usize)> = Vec::new();
        for (n, span) in paragraph.iter().enumerate() {
            for c in self.face.spelled(&span.text).chars() {
                if let Some((_, ems)) = self.face.glyph(c) {
                    letters.push((c, ems * span.style.size, n));
                }
            }
        }
        let mut lines = Vec::new();
        let mut rest = letters.as_slice();
        while !rest.is_empty() {
            let (mut used, mut good, mut end) = (0.0, None, rest.len());
            for (n, (c, wide, _)) in rest.iter().enumerate() {
                // A space may stand out.
                if used + wide > width && n > 0 && *c != ' ' {
                    end = good.unwrap_or(n);
                    break;
                }
                used += wide;
                if rest.get(n + 1).is_some_and(|(next, ..)| breaks(*c, *next)) {
                    good = Some(n + 1);
                }
            }
            let (line, tail) = rest.split_at(end);
            lines.push(runs(paragraph, line));
            let spaces = tail.iter().take_while(|(c, ..)| *c == ' ').count();
            rest = &tail[spaces..];
        }
        lines
    }

    /// Paints everything. `about` stands at the foot of each page.
    pub(super) fn paint(self, metadata: Metadata, about: &str) -> Result<Vec<u8>, String> {
        let mut document = Document::new();
        document.set_metadata(metadata);
        let mut outline = Outline::new();
        for (text, page, y) in &self.titles {
            let place = XyzDestination::new(*page, Point::from_xy(0.0, y - 6.0));
            outline.push_child(OutlineNode::new(self.face.spelled(text), place));
        }
        document.set_outline(outline);
        let small = Style {
            size: 7.5,
            ink: SOFT,
            bold: false,
        };
        let count = self.pages.len();
        for (n, page) in self.pages.iter().enumerate() {
            let size = PageSettings::from_wh(WIDTH, HEIGHT).ok_or("a page has a size")?;
            let mut on = document.start_page_with(size);
            let mut links = Vec::new();
            {
                let mut surface = on.surface();
                for (place, ink) in &page.bars {
                    fill(&mut surface, *place, *ink);
                }
                let mut foot = self.lines(&vec![Span::new(about, small)], ROOM - 60.0);
                let number = Span::new(format!("{} / {count}", n + 1), small);
                let right = ROOM - self.width(&number);
                let mut feet = Vec::new();
                for (line, x) in [
                    (foot.drain(..).next(), 0.0),
                    (self.lines(&vec![number], ROOM).pop(), right),
                ] {
                    for mut run in line.into_iter().flatten() {
                        run.at = (LEFT + x + run.at.0, HEIGHT - 26.0);
                        feet.push(run);
                    }
                }
                for run in page.runs.iter().chain(&feet) {
                    self.write(&mut surface, run);
                    if let Some(link) = &run.link {
                        let (x, y) = run.at;
                        let size = run.style.size;
                        let area = Rect::from_xywh(x, y - size, run.width, size * 1.25);
                        links.extend(area.map(|area| (area, link.clone())));
                    }
                }
                surface.finish();
            }
            for (area, link) in links {
                let target = Target::Action(Action::Link(LinkAction::new(link)));
                on.add_annotation(LinkAnnotation::new(area, target).into());
            }
            on.finish();
        }
        document
            .finish()
            .map_err(|error| format!("writing the PDF: {error:?}"))
    }

    fn write(&self, surface: &mut Surface<'_>, run: &Run) {
        let glyphs: Vec<KrillaGlyph> = run
            .text
            .char_indices()
            .filter_map(|(at, c)| {
                let (glyph, width) = self.face.glyph(c)?;
                let range = at..at + c.len_utf8();
                let glyph = GlyphId::new(glyph);
                Some(KrillaGlyph::new(glyph, width, 0.0, 0.0, 0.0, range, None))
            })
            .collect();
        let (r, g, b) = run.style.ink;
        let paint = rgb::Color::new(r, g, b);
        surface.set_fill(Some(Fill {
            paint: paint.into(),
            opacity: NormalizedF32::ONE,
            rule: krilla::paint::FillRule::NonZero,
        }));
        // The typeface has one weight; a stroke around its letters makes another.
        surface.set_stroke(run.style.bold.then(|| Stroke {
            paint: paint.into(),
            width: run.style.size * 0.03,
            ..Stroke::default()
        }));
        surface.draw_glyphs(
            Point::from_xy(run.at.0, run.at.1),
            &glyphs,
            self.face.font.clone(),
            &run.text,
            run.style.size,
            false,
        );
    }
}

fn fill(surface: &mut Surface<'_>, place: (f32, f32, f32, f32), ink: Ink) {
    let (x, y, width, height) = place;
    let mut path = PathBuilder::new();
    path.move_to(x, y);
    path.line_to(x + width, y);
    path.line_to(x + width, y + height);
    path.line_to(x, y + height);
    path.close();
    let Some(path) = path.finish() else { return };
    surface.set_stroke(None);
    surface.set_fill(Some(Fill {
        paint: rgb::Color::new(ink.0, ink.1, ink.2).into(),
        opacity: NormalizedF32::ONE,
        rule: krilla::paint::FillRule::NonZero,
    }));
    surface.draw_path(&path);
}

/// The runs of a line, without the spaces at its end.
fn runs(paragraph: &Paragraph, line: &[(char, f32, usize)]) -> Vec<Run> {
    let end = line
        .iter()
        .rposition(|(c, ..)| *c != ' ')
        .map_or(0, |n| n + 1);
    let mut runs: Vec<(usize, Run)> = Vec::new();
    let mut x = 0.0;
    for (c, wide, span) in &line[..end] {
        match runs.last_mut() {
            Some((of, run)) if of == span => {
                run.text.push(*c);
                run.width += wide;
            }
            _ => runs.push((
                *span,
                Run {
                    at: (x, 0.0),
                    width: *wide,
                    text: c.to_string(),
                    style: paragraph[*span].style,
                    link: paragraph[*span].link.clone(),
                },
            )),
        }
        x += wide;
    }
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Whether a line may end between two letters: at a space, behind what parts a path, and nearly
/// anywhere in Chinese.
fn breaks(letter: char, next: char) -> bool {
    const CLOSING: &str = "，。、；：？！）》】」』”’…,.;:?!)]}%";
    const OPENING: &str = "（《【「『“‘([{";
    let wide = |c: char| matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ff00}'..='\u{ff60}');
    if letter == ' ' {
        return true;
    }
    if CLOSING.contains(next) || OPENING.contains(letter) {
        return false;
    }
    wide(letter) || wide(next) || "/_,;@=&|:".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(text: &str, width: f32) -> Vec<String> {
        let style = Style {
            size: 10.0,
            ink: BLACK,
            bold: false,
        };
        let sheet = Sheet::new(Face::read().unwrap());
        let lines = sheet.lines(&vec![Span::new(text, style)], width);
        for line in &lines {
            let used: f32 = line.iter().map(|run| run.width).sum();
            assert!(used <= width || line[0].text.chars().count() == 1, "{used}");
        }
        lines
            .into_iter()
            .map(|line| line.into_iter().map(|run| run.text).collect())
            .collect()
    }

    #[test]
    fn lines_end_where_a_reader_expects_it() {
        assert_eq!(broken("one two three", 45.0), ["one two", "three"]);
        assert_eq!(
            broken("修复全部漏洞。修复", 40.0),
            ["修复全部", "漏洞。修", "复"]
        );
        assert_eq!(broken("修复全部。", 40.0), ["修复全", "部。"]);
        assert_eq!(broken("usr/lib/libcrypto", 50.0), ["usr/lib/", "libcrypto"]);
        // What has no place to break is broken all the same, and ends.
        assert_eq!(broken(&"x".repeat(30), 52.0).concat(), "x".repeat(30));
        assert_eq!(broken("abc", 1.0), ["a", "b", "c"]);
        assert!(broken("", 10.0).is_empty());
    }
}
