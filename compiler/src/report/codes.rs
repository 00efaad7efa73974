//! The pages of all codes: what `mlc explain CODE` shows and what the book's error index is made of.
//!
//! Invariant: every code that is written anywhere in the sources has a page, and every page is of such a code;
//! `tests/tests/errors.rs` holds that, and compiles or runs every example.

/// What there is to say of a code, as Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// `MDL0301`.
    pub code: &'static str,
    /// `# MDL0301: title`, sentences, examples.
    pub text: &'static str,
}

macro_rules! pages {
    ($($code:literal)*) => {
        /// Every page, in the order of the codes.
        pub const PAGES: &[Page] = &[
            $(Page { code: $code, text: include_str!(concat!("../../../docs/src/errors/", $code, ".md")) },)*
        ];
    };
}

pages! {
    "MDL0001" "MDL0002" "MDL0003" "MDL0004" "MDL0005" "MDL0006" "MDL0007"
    "MDL0101" "MDL0102" "MDL0103" "MDL0104" "MDL0105" "MDL0106" "MDL0107" "MDL0108"
    "MDL0201" "MDL0202" "MDL0203" "MDL0204" "MDL0205" "MDL0206" "MDL0207" "MDL0208" "MDL0209" "MDL0210"
    "MDL0211" "MDL0212" "MDL0213" "MDL0214" "MDL0215" "MDL0216" "MDL0217" "MDL0218" "MDL0219"
    "MDL0301" "MDL0302" "MDL0303" "MDL0304" "MDL0305" "MDL0306" "MDL0307" "MDL0308" "MDL0309" "MDL0310"
    "MDL0311" "MDL0312" "MDL0313" "MDL0314" "MDL0315" "MDL0316"
    "MDL0401" "MDL0402" "MDL0403" "MDL0404" "MDL0405" "MDL0406" "MDL0407" "MDL0408" "MDL0409"
    "MDL0501" "MDL0502" "MDL0503" "MDL0504" "MDL0505" "MDL0506" "MDL0507" "MDL0508"
    "MDL0602" "MDL0603" "MDL0604" "MDL0605"
    "MDL0701" "MDL0702" "MDL0703" "MDL0704" "MDL0705" "MDL0706" "MDL0707" "MDL0708" "MDL0709" "MDL0710" "MDL0711"
    "MDL0801" "MDL0802" "MDL0803" "MDL0804" "MDL0805" "MDL0806" "MDL0807"
    "MDL0901" "MDL0902" "MDL0903" "MDL0904" "MDL0905"
}

impl Page {
    /// The title, without the code.
    pub fn title(&self) -> &'static str {
        let first = self.text.lines().next().unwrap_or("");
        first.split_once(": ").map_or(first, |(_, title)| title)
    }

    /// The page for a terminal: examples are indented, and say whether they fail.
    pub fn plain(&self) -> String {
        let (mut out, mut example) = (format!("{}: {}\n\n", self.code, self.title()), false);
        for line in self.text.lines().skip(1) {
            match line.strip_prefix("```").map(|info| info.split_once(',')) {
                Some(Some((_, "fails"))) if !line.contains("console") => out += "This fails:\n\n",
                Some(Some((_, "fixed"))) if !line.contains("console") => out += "This is right:\n\n",
                Some(Some((_, name))) if name.contains('.') => out += &format!("{name}:\n\n"),
                Some(_) => {}
                None if example && !line.is_empty() => out += &format!("    {line}\n"),
                None => out += &format!("{line}\n"),
            }
            example ^= line.starts_with("```");
        }
        out
    }
}

/// The page of a code, written `MDL0301`, `mdl0301`, `0301` or `301`.
pub fn page(code: &str) -> Option<&'static Page> {
    let digits = code.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let named = code.len() == digits.len() || code[..code.len() - digits.len()].eq_ignore_ascii_case("mdl");
    let number: u32 = digits.parse().ok().filter(|_| named)?;
    PAGES.iter().find(|page| page.code[3..].parse() == Ok(number))
}

/// Codes that one may have meant by a word that is none, the nearest first.
pub fn near(code: &str) -> Vec<&'static str> {
    let code = code.to_ascii_uppercase();
    let code = if code.starts_with("MDL") { code } else { format!("MDL{code:0>4}") };
    let mut near: Vec<(usize, &str)> = (PAGES.iter())
        .map(|page| (strsim::damerau_levenshtein(&code, page.code), page.code))
        .filter(|(distance, _)| *distance <= 1)
        .collect();
    near.sort_unstable();
    near.into_iter().map(|(_, code)| code).take(5).collect()
}
