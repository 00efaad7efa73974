//! Names that people read, from those that exporters write.

/// Whether a name is a number that an exporter counted.
pub(super) fn is_anonymous(name: &str) -> bool {
    let plain = name.trim_start_matches("onnx::").trim_start_matches("val").trim_matches('_');
    let number = plain.rsplit_once('_').map_or(plain, |(_, number)| number);
    name.starts_with("onnx::")
        || name.starts_with("val_")
        || number == plain && number.bytes().all(|b| b.is_ascii_digit())
}

/// A node's place: `/encoder/layer.0/query/MatMul` is `encoder.layer.0.query.MatMul`.
pub(super) fn path(node: &str) -> String {
    let parts = node.split('/').filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join(".")
}

/// What a value is called in the text: the last words of its name, `query_matmul`.
pub(super) fn of_value(name: &str) -> Option<String> {
    let name = name.strip_suffix("_output_0").unwrap_or(name);
    if is_anonymous(name) {
        return None;
    }
    let parts: Vec<&str> = name.split(['/', ':']).filter(|part| !part.is_empty()).collect();
    let last = &parts[parts.len().saturating_sub(2)..];
    let plain = last.join("_").replace(['.', '-', ' '], "_").to_ascii_lowercase();
    (!plain.is_empty()).then_some(plain)
}

/// What a weight is called in the text: the last two words of its key.
pub(super) fn of_weight(key: &str) -> String {
    let parts: Vec<&str> = key.split(['.', '/', ':']).filter(|part| !part.is_empty()).collect();
    parts[parts.len().saturating_sub(2)..].join("_").to_ascii_lowercase()
}

/// A file's or a graph's name as that of a model: `main_graph` is `MainGraph`.
pub(super) fn of_model(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let capital = |word: &str| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]);
    let name: String = words.map(capital).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) { name } else { format!("Model{name}") }
}

/// A name of the file as a word of the text: other characters become `_`.
pub(super) fn identifier(name: &str) -> String {
    let word: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let word = word.trim_matches('_');
    if word.starts_with(|c: char| c.is_ascii_alphabetic()) { word.into() } else { format!("d{word}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_say_where() {
        assert_eq!(path("/encoder/layer.0/query/MatMul"), "encoder.layer.0.query.MatMul");
        assert_eq!(of_value("/encoder/layer.0/query/MatMul_output_0").as_deref(), Some("query_matmul"));
        assert_eq!(of_value("onnx::Add_12"), None);
        assert_eq!(of_value("123"), None);
        assert_eq!(of_weight("encoder.layer.0.query.weight"), "query_weight");
        assert_eq!(of_model("main_graph"), "MainGraph");
        assert!(is_anonymous("onnx::MatMul_901") && is_anonymous("val_7") && !is_anonymous("fc1.weight"));
    }
}
