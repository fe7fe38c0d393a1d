//! `docs/load-testing.md`: its commands, in its order, in one shell; a shorter time each, on ports of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::tools;

const PAGE: &str = include_str!("../../docs/load-testing.md");

/// What stands between the output of two commands.
const MARK: &str = "--- next command";

/// The commands of the page, each with the output below it.
fn commands() -> Vec<(&'static str, String)> {
    let blocks = PAGE.split("```").filter_map(|block| block.strip_prefix("console\n"));
    let mut all: Vec<(&str, String)> = Vec::new();
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), all.last_mut()) {
            (Some(command), _) => all.push((command, String::new())),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("a block begins with its output: {line}"),
        }
    }
    all
}

/// A number of answers is another each time, and a line of times is not on the page.
fn without_figures(output: &str) -> Vec<&str> {
    let shown = output.lines().filter(|line| !line.contains("/sec") && !line.contains("% in "));
    shown.map(|line| line.split(']').next().expect("a first part")).collect()
}

/// A bash in this folder that finds freshgate, and oha where `tests/run` puts it.
fn bash(folder: &Path, script: &str) -> std::process::Output {
    let own = Path::new(env!("CARGO_BIN_EXE_freshgate")).parent().expect("a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let tools =
        ["target/tools/bin", "target/tests/tools/bin"].map(|folder| tools::root().join(folder));
    Command::new("timeout")
        .args(["120", "bash", "-c", script])
        .env(
            "PATH",
            format!("{}:{}:{}:{path}", own.display(), tools[0].display(), tools[1].display()),
        )
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("bash runs")
}

#[test]
fn the_commands_of_the_page_on_load_testing_give_what_it_says() {
    let found = bash(Path::new("/"), "command -v oha");
    assert!(found.status.success(), "oha is not installed: run tests/run");
    let toml = PAGE.split("```toml\n# file: gateway.toml\n").nth(1).expect("its file");
    let toml = toml.split("```").next().expect("it ends");
    let ports = [tools::free_address(), tools::free_address()].map(|one| one.to_string());
    let here = |text: &str| {
        let text = text.replace("127.0.0.1:8080", &ports[0]).replace("127.0.0.1:8081", &ports[1]);
        text.replace("-z 2s", "-z 800ms")
    };
    // Not by the harness, which would give it ports that the commands do not know.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), here(toml)).expect("a file");
    let commands = commands();
    assert!(commands.len() > 20, "{}", commands.len());
    let script: String =
        commands.iter().map(|(command, _)| format!("{}\necho '{MARK}'\n", here(command))).collect();
    // Whatever happens, the gateway ends with the shell.
    let output = bash(folder.path(), &format!("trap 'kill $GATEWAY 2>/dev/null' EXIT\n{script}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let log = std::fs::read_to_string(folder.path().join("gateway.log")).unwrap_or_default();
    let all: Vec<&str> = said.split(&format!("{MARK}\n")).collect();
    assert_eq!(all.len(), commands.len() + 1, "{said}\n{errors}\n{log}");
    for ((command, wanted), output) in commands.iter().zip(all) {
        assert_eq!(
            without_figures(output),
            without_figures(wanted),
            "{command}\n{output}\n{errors}\n{log}"
        );
    }
}
