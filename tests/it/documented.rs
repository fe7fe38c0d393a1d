//! The pages of `docs/` that show commands: every command is run, and prints what the page says.

use crate::harness::Setup;

/// The files of a page, `# file: NAME` on the first line, in a directory of their own.
fn files(page: &str) -> Setup {
    let blocks = page.split("```").skip(1).step_by(2);
    blocks.fold(Setup::new(""), |setup, block| {
        let (_, body) = block.split_once('\n').expect("a block has lines");
        match body.strip_prefix("# file: ").and_then(|rest| rest.split_once('\n')) {
            Some((name, text)) => setup.file(name, text),
            None => setup,
        }
    })
}

/// The words of a command line, which only ever quotes with `'`.
fn words(line: &str) -> Vec<String> {
    line.split('\'')
        .enumerate()
        .flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[track_caller]
fn check(page: &str, commands: usize) {
    let setup = files(page);
    let mut seen = 0;
    for block in page.split("```").filter_map(|block| block.strip_prefix("console\n$ freshgate ")) {
        seen += 1;
        let (line, wanted) = block.split_once('\n').expect("a command has an answer");
        let (line, stdin) = line.split_once(" < ").unwrap_or((line, ""));
        let stdin = match stdin {
            "" => String::new(),
            name => std::fs::read_to_string(setup.dir().join(name)).expect("a file of the page"),
        };
        let words = words(line);
        let args: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = setup.cli(&args, &stdin);
        assert_eq!(output.stdout, wanted, "{line}\n{}{}", output.stdout, output.stderr);
    }
    assert_eq!(seen, commands);
}

#[test]
fn the_page_on_reviewing_changes_is_true() {
    check(include_str!("../../docs/reviewing-changes.md"), 1);
}

#[test]
fn the_page_on_users_is_true() {
    check(include_str!("../../docs/users.md"), 5);
}

#[test]
fn the_page_on_explain_is_true() {
    check(include_str!("../../docs/explain.md"), 2);
}

#[test]
fn the_configuration_for_clients_of_flask_jwt_extended_is_one() {
    let page = include_str!("../../docs/flask-jwt-extended.md");
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let block = block.expect("the page begins with one");
    let top = "upstream = \"builtin:whoami\"\n[routes]\n\"/api/**\" = \"access-required\"\n";
    let setup =
        Setup::new(&format!("{top}{block}")).env("JWT_SECRET_KEY", crate::harness::forge::SECRET);
    setup.cli(&["check"], "").succeeded();
}

#[test]
fn the_page_on_suggest_is_true() {
    check(include_str!("../../docs/suggest.md"), 1);
}
