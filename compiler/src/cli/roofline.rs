//! A roofline: the kernels of a call under what the machine allows, as an SVG picture.
//!
//! Invariant: both axes are logarithmic, a dot's area is its share of the time, and all text of a model is escaped. Colours
//! follow the reader's scheme, light or dark.

use super::measure::Row;
use super::output;
use mlc_runtime::session::{Machine, Model};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Kernels that are named; the others are dots without a number.
const NAMED: usize = 14;

/// The plot's edges in the picture.
const LEFT: f64 = 70.0;
const RIGHT: f64 = 640.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 470.0;

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#222}.title{font-size:15px;font-weight:600}\
.small{font-size:11px;fill:#666}.grid{stroke:#ddd}.roof{stroke:#222;stroke-width:2;fill:none}\
.slope{stroke:#888;stroke-width:1.2;fill:none}.dot{fill:#1f77b4;fill-opacity:.55;stroke:#1f77b4}\
.paper{fill:#fff}.number{font-size:11px;font-weight:600;text-anchor:middle}\
@media(prefers-color-scheme:dark){text{fill:#ddd}.small{fill:#999}.grid{stroke:#383838}.roof{stroke:#eee}\
.slope{stroke:#888}.dot{fill:#5fb0ea;stroke:#8fd0ff}.paper{fill:#181818}}";

/// What is drawn.
pub(super) struct Roofline {
    title: String,
    /// Operations a second.
    peak: f64,
    /// Bytes a second of each level of memory, nearest first, with what it is called.
    levels: Vec<(String, f64)>,
    /// The longest first.
    kernels: Vec<Dot>,
}

struct Dot {
    name: String,
    /// Of the time of all kernels.
    share: f64,
    /// Operations a byte.
    intensity: f64,
    /// Operations a second.
    rate: f64,
    /// Of what is possible.
    limit: f64,
}

/// Where one of several measurements is drawn: beside `path`, with its number of threads.
pub(super) fn path(path: &Path, threads: usize, measurements: usize) -> PathBuf {
    if measurements == 1 { path.to_owned() } else { path.with_extension(format!("{threads}.svg")) }
}

impl Roofline {
    /// Measures the machine, and places the kernels; those that compute nothing have no place.
    pub(super) fn new(title: String, model: &Model, rows: &[Row], machine: &mut Machine) -> Roofline {
        let all: f64 = rows.iter().map(|row| row.seconds).sum();
        let kernels = rows.iter().filter(|row| row.work.flops > 0.0 && row.work.bytes > 0.0 && row.seconds > 0.0);
        let kernels = kernels.map(|row| Dot {
            name: output::plain(&model.artifact().plan.kernels[row.kernel].name),
            share: row.seconds / all,
            intensity: row.work.flops / row.work.bytes,
            rate: row.work.flops / row.seconds,
            limit: row.limit / row.seconds,
        });
        let levels = levels(machine.threads() as u64);
        let levels = levels.into_iter().map(|(name, set)| (name, machine.reads(set))).collect();
        Roofline { title, peak: machine.multiply_adds(), levels, kernels: kernels.collect() }
    }

    /// The picture.
    pub(super) fn svg(&self) -> String {
        let scale = self.scale();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 520\" width=\"1000\" height=\"520\">\n\
             <style>{STYLE}</style>\n<rect class=\"paper\" width=\"1000\" height=\"520\"/>\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"28\">{}</text>\n",
            escaped(&self.title)
        );
        self.grid(&mut svg, &scale);
        self.roofs(&mut svg, &scale);
        self.dots(&mut svg, &scale);
        self.legend(&mut svg);
        svg + "</svg>\n"
    }

    /// Whole decades around all that is drawn.
    fn scale(&self) -> Scale {
        let slowest = self.levels.iter().map(|(_, rate)| *rate).fold(f64::MAX, f64::min);
        let ridge = self.peak / slowest;
        let of = |value: fn(&Dot) -> f64, other: f64, pick: fn(f64, f64) -> f64| {
            self.kernels.iter().map(value).fold(other, pick)
        };
        let x = (of(|k| k.intensity, 0.1, f64::min), of(|k| k.intensity, 2.0 * ridge, f64::max));
        let y = (of(|k| k.rate, self.peak / 100.0, f64::min), of(|k| k.rate, 1.5 * self.peak, f64::max));
        let decades = |(least, most): (f64, f64)| (least.log10().floor(), most.log10().ceil());
        Scale { x: decades(x), y: decades(y) }
    }

    fn grid(&self, svg: &mut String, scale: &Scale) {
        for power in scale.x.0 as i32..=scale.x.1 as i32 {
            let x = scale.across(10f64.powi(power));
            put(svg, format_args!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{BOTTOM}\"/>"));
            put(
                svg,
                format_args!(
                    "<text class=\"small\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"486\">{}</text>",
                    number(power)
                ),
            );
        }
        for power in scale.y.0 as i32..=scale.y.1 as i32 {
            let y = scale.up(10f64.powi(power));
            put(svg, format_args!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{RIGHT}\"/>"));
            let (x, y, label) = (LEFT - 6.0, y + 4.0, number(power - 9));
            put(svg, format_args!("<text class=\"small\" text-anchor=\"end\" x=\"{x}\" y=\"{y:.1}\">{label}</text>"));
        }
        put(
            svg,
            format_args!("<text class=\"small\" x=\"{RIGHT}\" y=\"506\" text-anchor=\"end\">operations a byte</text>"),
        );
        put(svg, format_args!("<text class=\"small\" x=\"{LEFT}\" y=\"44\">GFLOP/s</text>"));
    }

    /// The peak, and a slope for each level of memory up to it.
    fn roofs(&self, svg: &mut String, scale: &Scale) {
        let left = 10f64.powf(scale.x.0);
        let fastest = self.levels.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let (from, peak) = (scale.across((self.peak / fastest).max(left)), scale.up(self.peak));
        put(svg, format_args!("<path class=\"roof\" d=\"M{from:.1} {peak:.1}H{RIGHT}\"/>"));
        let (x, y, rate) = (RIGHT - 4.0, peak - 6.0, self.peak / 1e9);
        put(svg, format_args!("<text x=\"{x}\" y=\"{y:.1}\" text-anchor=\"end\">{rate:.0} GFLOP/s</text>"));
        for (i, (name, rate)) in self.levels.iter().enumerate() {
            // A slope begins at the left edge, or below it at the foot of the plot.
            let start = left.max(10f64.powf(scale.y.0) / rate);
            let end = self.peak / rate;
            let [(x0, y0), (x1, y1)] = [start, end].map(|at| (scale.across(at), scale.up(at * rate)));
            let class = if i == 0 { "roof" } else { "slope" };
            put(svg, format_args!("<path class=\"{class}\" d=\"M{x0:.1} {y0:.1}L{x1:.1} {y1:.1}\"/>"));
            let angle = (y1 - y0).atan2(x1 - x0).to_degrees();
            let (x, y) = (x0 + 0.12 * (x1 - x0), y0 + 0.12 * (y1 - y0) - 4.0);
            let label = format!("{name} {:.0} GB/s", rate / 1e9);
            put(
                svg,
                format_args!(
                    "<text class=\"small\" transform=\"translate({x:.1} {y:.1}) rotate({angle:.1})\">{label}</text>"
                ),
            );
        }
    }

    fn dots(&self, svg: &mut String, scale: &Scale) {
        for (i, dot) in self.kernels.iter().enumerate().rev() {
            let (x, y, radius) = (scale.across(dot.intensity), scale.up(dot.rate), 3.0 + 20.0 * dot.share.sqrt());
            let title = escaped(&format!("{}: {}", dot.name, dot.told()));
            put(
                svg,
                format_args!(
                    "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>{title}</title></circle>"
                ),
            );
            if i < NAMED {
                let y = y + 4.0;
                put(svg, format_args!("<text class=\"number\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", i + 1));
            }
        }
    }

    fn legend(&self, svg: &mut String) {
        for (i, dot) in self.kernels.iter().take(NAMED).enumerate() {
            let (x, y) = (RIGHT + 20.0, TOP + 8.0 + 30.0 * i as f64);
            let name: String = dot.name.chars().take(48).collect();
            let more = if dot.name.chars().count() > 48 { "…" } else { "" };
            put(svg, format_args!("<text x=\"{x}\" y=\"{y}\">{}  {}{more}</text>", i + 1, escaped(&name)));
            let y = y + 13.0;
            put(svg, format_args!("<text class=\"small\" x=\"{x}\" y=\"{y}\">{}</text>", dot.told()));
        }
        if self.kernels.len() > NAMED {
            let (x, more) = (RIGHT + 20.0, self.kernels.len() - NAMED);
            put(svg, format_args!("<text class=\"small\" x=\"{x}\" y=\"{BOTTOM}\">and {more} more</text>"));
        }
    }
}

impl Dot {
    fn told(&self) -> String {
        let (share, rate, limit) = (100.0 * self.share, self.rate / 1e9, 100.0 * self.limit);
        format!("{share:.1} % of the time, {rate:.1} GFLOP/s, {limit:.0} % of the limit")
    }
}

/// The powers of ten at the edges of the plot.
struct Scale {
    x: (f64, f64),
    y: (f64, f64),
}

impl Scale {
    fn across(&self, value: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * (value.log10() - self.x.0) / (self.x.1 - self.x.0)
    }

    fn up(&self, value: f64) -> f64 {
        BOTTOM - (BOTTOM - TOP) * (value.log10() - self.y.0) / (self.y.1 - self.y.0)
    }
}

/// The levels of memory, and a working set that fits each: half a cache, twice the last.
fn levels(threads: u64) -> Vec<(String, u64)> {
    let caches = caches();
    let memory = caches.last().map_or(128 << 20, |(_, bytes)| 4 * bytes);
    // Caches near a core are its own.
    let own = |level: u32| if level < 3 { threads } else { 1 };
    let inside = caches.iter().map(|(level, bytes)| (format!("L{level}"), bytes / 2 * own(*level)));
    inside.chain([("memory".to_owned(), memory)]).collect()
}

/// Level and bytes of the caches for data, as the system says; usual ones where it does not.
fn caches() -> Vec<(u32, u64)> {
    let read = |index: u32, what: &str| {
        std::fs::read_to_string(format!("/sys/devices/system/cpu/cpu0/cache/index{index}/{what}")).ok()
    };
    let mut found: Vec<(u32, u64)> = (0..8)
        .filter(|index| read(*index, "type").is_some_and(|kind| kind.trim() != "Instruction"))
        .filter_map(|index| {
            let size = read(index, "size")?;
            let kib: u64 = size.trim().strip_suffix('K')?.parse().ok()?;
            Some((read(index, "level")?.trim().parse().ok()?, kib << 10))
        })
        .collect();
    found.sort_unstable();
    if found.is_empty() { vec![(1, 32 << 10), (2, 1 << 20), (3, 32 << 20)] } else { found }
}

/// A power of ten as a label.
fn number(power: i32) -> String {
    match power {
        0..6 => 10i32.pow(power as u32).to_string(),
        -4..0 => format!("{:.*}", -power as usize, 10f64.powi(power)),
        _ => format!("1e{power}"),
    }
}

fn put(svg: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(svg, "{line}").expect("a string grows");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::{BOTTOM, Dot, LEFT, RIGHT, Roofline, TOP};

    #[test]
    fn all_that_is_drawn_lies_in_the_plot() {
        let dot = |intensity: f64, rate: f64| Dot { name: "a<b>".into(), share: 0.5, intensity, rate, limit: 0.9 };
        let levels = vec![("L1".to_owned(), 2e11), ("memory".to_owned(), 1e10)];
        let kernels = vec![dot(0.01, 3e7), dot(300.0, 9e10)];
        let roofline = Roofline { title: "m & n".into(), peak: 1e11, levels, kernels };
        let svg = roofline.svg();
        assert!(svg.contains("m &amp; n") && svg.contains("a&lt;b&gt;") && !svg.contains("a<b>"));
        let number = |text: &str, key: &str| -> f64 {
            let rest = text.split(&format!(" {key}=\"")).nth(1).expect("the attribute");
            rest.split('"').next().and_then(|n| n.parse().ok()).expect("a number")
        };
        let dots: Vec<&str> = svg.lines().filter(|line| line.starts_with("<circle")).collect();
        assert_eq!(dots.len(), 2);
        for dot in dots {
            let (x, y) = (number(dot, "cx"), number(dot, "cy"));
            assert!((LEFT..=RIGHT).contains(&x) && (TOP..=BOTTOM).contains(&y), "{dot}");
        }
        for line in svg.lines().filter(|line| line.starts_with("<path")) {
            let data = line.split("d=\"M").nth(1).and_then(|d| d.split('"').next()).expect("a path");
            let numbers: Vec<f64> = data.split(['L', 'H', 'V', ' ']).map(|n| n.parse().expect("a number")).collect();
            assert!(numbers.iter().all(|n| (0.0..=RIGHT + 0.1).contains(n)), "{line}");
        }
    }
}
