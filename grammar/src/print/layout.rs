//! Text with places where it may break, after Wadler's "A prettier printer". It knows no language, and its time is
//! linear in the text.

/// The width of a line.
const WIDTH: usize = 100;

/// A piece of text that adapts to the room it has.
#[derive(Debug)]
pub(crate) enum Layout {
    Text(String),
    /// A space, or a new line where the group around it is broken.
    Line,
    /// Nothing, or a new line where the group around it is broken.
    Soft,
    /// A new line always.
    Hard,
    /// A comma where the group around it is broken.
    Comma,
    All(Vec<Layout>),
    /// New lines inside stand this much further right.
    Indent(usize, Box<Layout>),
    /// Broken as a whole, or not at all.
    Group(Box<Layout>),
}

impl Layout {
    pub(crate) fn text(text: impl Into<String>) -> Layout {
        Layout::Text(text.into())
    }

    pub(crate) fn group(parts: Vec<Layout>) -> Layout {
        Layout::Group(Box::new(Layout::All(parts)))
    }

    pub(crate) fn indent(by: usize, parts: Vec<Layout>) -> Layout {
        Layout::Indent(by, Box::new(Layout::All(parts)))
    }

    /// `open`, the items with commas between them, `close`; one item a line where they do not fit.
    pub(crate) fn list(open: &str, items: Vec<Layout>, close: &str) -> Layout {
        if items.is_empty() {
            return Layout::text(format!("{open}{close}"));
        }
        let mut inner = vec![Layout::Soft];
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                inner.extend([Layout::text(","), Layout::Line]);
            }
            inner.push(item);
        }
        inner.push(Layout::Comma);
        Layout::group(vec![Layout::text(open), Layout::indent(2, inner), Layout::Soft, Layout::text(close)])
    }

    /// Appends the text to `out`, which stands at `indent`.
    pub(crate) fn render(&self, indent: usize, out: &mut String) {
        let mut column = indent;
        let mut todo = vec![Todo { indent, broken: true, layout: self }];
        while let Some(Todo { indent, broken, layout }) = todo.pop() {
            match layout {
                Layout::Text(text) => {
                    out.push_str(text);
                    column += text.chars().count();
                }
                Layout::Line if !broken => {
                    out.push(' ');
                    column += 1;
                }
                Layout::Comma if broken => {
                    out.push(',');
                    column += 1;
                }
                Layout::Hard => column = new_line(indent, out),
                Layout::Line | Layout::Soft if broken => column = new_line(indent, out),
                Layout::Line | Layout::Soft | Layout::Comma => {}
                Layout::All(parts) => todo.extend(parts.iter().rev().map(|layout| Todo { indent, broken, layout })),
                Layout::Indent(by, layout) => todo.push(Todo { indent: indent + by, broken, layout }),
                Layout::Group(layout) => {
                    let broken = !fits(layout, &todo, WIDTH.saturating_sub(column));
                    todo.push(Todo { indent, broken, layout });
                }
            }
        }
    }
}

struct Todo<'a> {
    indent: usize,
    broken: bool,
    layout: &'a Layout,
}

fn new_line(indent: usize, out: &mut String) -> usize {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
    indent
}

/// Whether `layout` on one line, with what follows it up to the next place that may break, needs no more than `room`.
fn fits(layout: &Layout, rest: &[Todo], room: usize) -> bool {
    let mut room = room;
    let mut inside = vec![layout];
    while let Some(layout) = inside.pop() {
        match layout {
            Layout::Text(text) => match room.checked_sub(text.chars().count()) {
                Some(left) => room = left,
                None => return false,
            },
            Layout::Line if room == 0 => return false,
            Layout::Line => room -= 1,
            Layout::Soft | Layout::Comma => {}
            Layout::Hard => return false,
            Layout::All(parts) => inside.extend(parts.iter().rev()),
            Layout::Indent(_, layout) | Layout::Group(layout) => inside.push(layout),
        }
    }
    follows(rest, room)
}

/// Whether what follows a group reaches a place that may break within `room`.
fn follows(rest: &[Todo], mut room: usize) -> bool {
    for Todo { broken, layout, .. } in rest.iter().rev() {
        let mut inside = vec![*layout];
        while let Some(layout) = inside.pop() {
            match layout {
                Layout::Text(text) => match room.checked_sub(text.chars().count()) {
                    Some(left) => room = left,
                    None => return false,
                },
                Layout::Hard => return true,
                Layout::Line | Layout::Soft if *broken => return true,
                Layout::Line => room = room.saturating_sub(1),
                Layout::Soft | Layout::Comma => {}
                Layout::All(parts) => inside.extend(parts.iter().rev()),
                Layout::Indent(_, layout) => inside.push(layout),
                Layout::Group(_) => return true,
            }
        }
    }
    true
}
