//! What a person reads when the gateway has started: where it listens, what it enforces, what to try next.

use std::fmt::Write;
use std::net::SocketAddr;

use super::build::FirstUser;
use crate::config::Config;
use crate::policy::Requirement;
use crate::policy::pattern::Segment;
use crate::policy::route::{Action, Route};

/// The policies in the order of the documentation.
const POLICIES: [&str; 6] =
    ["public", "optional", "access-required", "fresh-required", "refresh-only", "deny"];

/// The whole start-up text. The bound addresses come first, one a line.
pub fn text(
    config: &Config,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    first_user: Option<&FirstUser>,
) -> String {
    let mut text = format!("listening on http://{listen}\n");
    if let Some(admin) = admin {
        let _infallible = writeln!(text, "admin on http://{admin}");
    }
    text.push_str(&file_line(config));
    text.push_str(&format!("{}\n", routes_line(config)));
    if let Some(first) = first_user {
        let password = String::from_utf8_lossy(first.password.expose());
        text.push_str(&format!(
            "\nfirst user: {}\npassword:   {password}\n(shown this once; change it with \
             `freshgate user password {}`)\n",
            first.name, first.name
        ));
    }
    text.push_str(&try_next(config, listen, first_user));
    text
}

/// Which file was read, with the end of the line.
pub fn file_line(config: &Config) -> String {
    match &config.file {
        Some(file) => format!("configuration {}\n", file.display()),
        None => "configuration: the built-in example (no gateway.toml here)\n".to_owned(),
    }
}

/// `routes: 9 (public 2, deny 1, …) and 9 endpoints`
pub fn routes_line(config: &Config) -> String {
    let (endpoints, routes): (Vec<_>, Vec<_>) = config
        .routes
        .routes()
        .iter()
        .partition(|route| matches!(route.action, Action::Endpoint(_)));
    let count =
        |policy: &str| routes.iter().filter(|route| route.requirement.name() == policy).count();
    let each: Vec<String> = POLICIES
        .iter()
        .map(|policy| (policy, count(policy)))
        .filter(|(_, count)| *count > 0)
        .map(|(policy, count)| format!("{policy} {count}"))
        .collect();
    let each = if each.is_empty() { "everything is refused".to_owned() } else { each.join(", ") };
    format!("routes: {} ({each}) and {} endpoints", routes.len(), endpoints.len())
}

/// Three lines that work as they are: without a token, getting one, with it.
fn try_next(config: &Config, listen: SocketAddr, first_user: Option<&FirstUser>) -> String {
    let base = format!("http://{listen}");
    let open = example(config, |requirement| requirement == Requirement::Public);
    let guarded = example(config, |requirement| requirement == Requirement::Access);
    let mut text = format!("\ntry next:\n  curl -i {base}{}\n", open.as_deref().unwrap_or("/"));
    if let Some(login) = &config.login {
        let name = first_user.map_or("NAME", |first| first.name.as_str());
        let password = first_user
            .map_or("PASSWORD".into(), |first| String::from_utf8_lossy(first.password.expose()));
        let path = guarded.unwrap_or_else(|| format!("{}/me", login.at));
        if login.cookies.as_ref().is_some_and(|cookies| !cookies.in_bodies) {
            text.push_str(&format!(
                "  curl -i -c cookies {base}{} -d username={name} -d 'password={password}'\n  \
                 curl -i -b cookies {base}{path}\n",
                login.login
            ));
            return text;
        }
        text.push_str(&format!(
            "  TOKEN=$(curl -s {base}{} -d username={name} -d 'password={password}' | \
             sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\n",
            login.login
        ));
        text.push_str(&format!("  curl -i -H \"Authorization: Bearer $TOKEN\" {base}{path}\n"));
    }
    text
}

/// A path that a route with such a requirement would get.
pub fn example(config: &Config, wanted: impl Fn(Requirement) -> bool) -> Option<String> {
    let usable = |route: &Route| {
        let methods = &route.pattern.methods;
        wanted(route.requirement)
            && matches!(route.action, Action::Forward(_))
            && route.pattern.host.is_none()
            && (methods.is_empty() || methods.iter().any(|method| method == "GET"))
    };
    let route = config.routes.routes().iter().find(|route| usable(route))?;
    let segments: Vec<&str> = route
        .pattern
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Any | Segment::Named(_) => "1",
            Segment::Rest => "",
        })
        .collect();
    Some(format!("/{}", segments.join("/")))
}
