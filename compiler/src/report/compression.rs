//! What a profile did to a model, as one page that needs nothing else: from the JSON of `--report`, its twin.
//! Invariant: every text in it is escaped; the page holds no script and names no address.

use serde_json::Value;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;\
vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.left{color:#888}svg{width:100%;height:auto}\
@media(prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}th,td{border-color:#333}text{fill:#ddd}}";

/// The page.
pub fn page(report: &Value) -> String {
    let text = |key: &str| escaped(report[key].as_str().unwrap_or(""));
    let title = format!("{}, profile {}", text("model"), text("profile"));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>{STYLE}</style></head>\n\
         <body>\n<h1>{title}</h1>\n"
    );
    page += &certificate(&report["certificate"], &report["before_bytes"]);
    page += &attempts(report["attempts"].as_array().map_or(&[][..], Vec::as_slice), &report["before_bytes"]);
    page += &steps(report["steps"].as_array().map_or(&[][..], Vec::as_slice));
    page += &decisions(report["decisions"].as_array().map_or(&[][..], Vec::as_slice));
    page += &format!("<p>mlc {}</p>\n</body></html>\n", text("mlc"));
    page
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\'' => out += "&#39;",
            c => out.push(c),
        }
    }
    out
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

/// Shares in percent, all else as it is.
fn figure(metric: &str, value: f64) -> String {
    match metric {
        "top1" | "top5" | "agreement" => format!("{:.2} %", value * 100.0),
        _ => format!("{value:.4}"),
    }
}

fn kib(bytes: f64) -> String {
    format!("{:.1} KiB", bytes / 1024.0)
}

fn certificate(certificate: &Value, before_bytes: &Value) -> String {
    let Some(metric) = certificate["metric"].as_str() else {
        return "<p>This profile has no budget, so nothing was measured.</p>\n".into();
    };
    let of = |key: &str| number(&certificate[key]);
    let drop = |value: f64| {
        if certificate["relative"] == true { format!("{:.2} %", value * 100.0) } else { figure(metric, value) }
    };
    let sure = if certificate["undecided"] == true { "undecided, and accepted" } else { "met" };
    let row = |name: &str, before: String, after: String| {
        format!("<tr><td>{name}</td><td class=\"n\">{before}</td><td class=\"n\">{after}</td></tr>\n")
    };
    let mut out = String::from("<table><tr><th></th><th class=\"n\">before</th><th class=\"n\">after</th></tr>\n");
    out += &row(&escaped(metric), figure(metric, of("before")), figure(metric, of("value")));
    out += &row("constants", kib(number(before_bytes)), kib(of("bytes")));
    out += "</table>\n";
    let data = escaped(certificate["data"].as_str().unwrap_or(""));
    out + &format!(
        "<p>Budget {sure}: a drop of {} on {} samples of <code>{data}</code>; with {:.0} % confidence at most {}, allowed {}. \
         {} models were measured.</p>\n",
        drop(of("drop")),
        of("samples"),
        of("confidence") * 100.0,
        drop(of("upper")),
        drop(of("max_drop")),
        of("evaluations")
    )
}

/// Every model that was measured: its bytes and its drop.
fn attempts(attempts: &[Value], before_bytes: &Value) -> String {
    if attempts.is_empty() {
        return String::new();
    }
    let points: Vec<(f64, f64, bool)> = attempts
        .iter()
        .map(|attempt| (number(&attempt["bytes"]), number(&attempt["drop"]), attempt["met"] == true))
        .chain([(number(before_bytes), 0.0, true)])
        .collect();
    let widest = points.iter().map(|point| point.0).fold(1.0, f64::max);
    let (low, high) = points.iter().fold((0.0f64, 1e-9f64), |(low, high), point| (low.min(point.1), high.max(point.1)));
    let mut out = String::from(
        "<h2>Size and drop</h2>\n<svg viewBox=\"0 0 640 260\" role=\"img\" aria-label=\"size and drop\">\n",
    );
    out += "<path d=\"M60 10V220H630\" fill=\"none\" stroke=\"#888\"/>\n";
    for (bytes, drop, met) in &points {
        let (x, y) = (60.0 + bytes / widest * 560.0, 220.0 - (drop - low) / (high - low) * 200.0);
        let colour = if *met { "#2a7" } else { "#c43" };
        out += &format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\"><title>{}, drop {drop:.5}</title></circle>\n",
            kib(*bytes)
        );
    }
    out += &format!(
        "<text x=\"60\" y=\"245\">0</text><text x=\"630\" y=\"245\" text-anchor=\"end\">{}</text>\n",
        kib(widest)
    );
    out + &format!(
        "<text x=\"4\" y=\"20\">{high:.4}</text><text x=\"4\" y=\"220\">{low:.4}</text>\n</svg>\n<p>Green is within the budget.</p>\n"
    )
}

/// How loud each change is.
fn steps(steps: &[Value]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut out = String::from(
        "<h2>How loud each change is</h2>\n<table><tr><th>weight</th><th>what</th><th class=\"n\">result to error</th><th></th></tr>\n",
    );
    for step in steps {
        let decibels = number(&step["decibels"]);
        let width = (100.0 - decibels).clamp(1.0, 100.0) * 3.0;
        out += &format!(
            "<tr><td><code>{}</code></td><td>{}</td><td class=\"n\">{decibels:.1} dB</td><td><svg viewBox=\"0 0 300 12\">\
             <rect width=\"{width:.0}\" height=\"12\" fill=\"#47a\"/></svg></td></tr>\n",
            escaped(step["weight"].as_str().unwrap_or("")),
            escaped(step["step"].as_str().unwrap_or(""))
        );
    }
    out + "</table>\n"
}

fn decisions(decisions: &[Value]) -> String {
    let mut out = String::from(
        "<h2>What was decided</h2>\n<table><tr><th>weight</th><th class=\"n\">numbers</th><th>op</th><th>became</th><th>how, or why not</th></tr>\n",
    );
    for row in decisions {
        let text = |key: &str| escaped(row[key].as_str().unwrap_or(""));
        let (form, class) = match row["form"].as_str() {
            Some(form) => (escaped(form), ""),
            None => ("stays".into(), " class=\"left\""),
        };
        let members = number(&row["members"]);
        let times = if members > 1.0 { format!(" and {} more", members - 1.0) } else { String::new() };
        out += &format!(
            "<tr{class}><td><code>{}</code>{times}</td><td class=\"n\">{}</td><td>{}</td><td>{form}</td><td>{}</td></tr>\n",
            text("weight"),
            number(&row["elements"]) * members,
            text("op"),
            text("why")
        );
    }
    out + "</table>\n"
}

#[cfg(test)]
mod tests {
    use super::page;
    use serde_json::json;

    #[test]
    fn what_a_model_calls_itself_is_no_markup() {
        let report = json!({"model": "<script>", "profile": "p", "mlc": "0", "certificate": null, "attempts": [], "steps": [],
            "decisions": [{"weight": "a\"&<b>", "members": 2, "elements": 8, "op": "einsum", "form": null, "why": "it's"}]});
        let text = page(&report);
        assert!(!text.contains("<script") && text.contains("&lt;script&gt;") && text.contains("a&quot;&amp;&lt;b&gt;"));
        assert!(text.contains("it&#39;s") && text.contains("and 1 more") && text.contains("no budget"));
        assert!(!text.contains("http"), "nothing is fetched");
    }
}
