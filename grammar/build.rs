//! Generates the parser's tables from `src/grammar.lalrpop`.

fn main() {
    lalrpop::process_src().expect("the grammar has no conflicts");
}
