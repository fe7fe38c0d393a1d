//! The operator's own query: one statement that reads, with one parameter, in the spelling of its engine.
//!
//! Pure. It is taken apart far enough to find the parameter and the end of the statement, and no further: the
//! database reads it again, in a transaction that can only read. What a user typed never becomes part of it.

use super::database::Engine;

/// One statement with its parameter lowered: to `$1`, `?1`, or one `?` for each use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    text: String,
    uses: usize,
}

impl Query {
    /// Reads a query in which `:parameter` stands for the value.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(text: &str, engine: Engine, parameter: &str) -> Result<Query, String> {
        let mut reader = Reader { text, at: 0, engine, lowered: String::new(), uses: 0 };
        reader.read(parameter)?;
        let Reader { lowered, uses, .. } = reader;
        if uses == 0 {
            return Err(format!("it does not use `:{parameter}`"));
        }
        Ok(Query { text: lowered.trim_end().to_owned(), uses })
    }

    /// What is sent to the database.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How often it uses the parameter.
    pub fn uses(&self) -> usize {
        self.uses
    }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
    engine: Engine,
    lowered: String,
    uses: usize,
}

impl Reader<'_> {
    fn read(&mut self, parameter: &str) -> Result<(), String> {
        let mut ended = false;
        let mut begun = false;
        while let Some(sign) = self.rest().chars().next() {
            let from = self.at;
            let comment = self.comment()?;
            if comment || sign.is_whitespace() {
                self.at += if comment { 0 } else { sign.len_utf8() };
                self.lowered.push(' ');
                continue;
            }
            if ended {
                return Err("it is more than one statement".into());
            }
            if !begun {
                self.begins_with_a_reading_word()?;
                begun = true;
            }
            if sign == ';' {
                ended = true;
                self.at += 1;
            } else if self.quoted(sign)? {
                self.lowered.push_str(&self.text[from..self.at]);
            } else if let Some(name) = self.name_of_parameter() {
                if name != parameter {
                    return Err(format!("`:{name}` in it is not known: write `:{parameter}`"));
                }
                self.at += 1 + name.len();
                self.parameter();
            } else {
                self.plain(sign)?;
            }
        }
        match begun {
            true => Ok(()),
            false => Err("it is empty".into()),
        }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn begins_with_a_reading_word(&self) -> Result<(), String> {
        let word: String = self.rest().chars().take_while(char::is_ascii_alphabetic).collect();
        match word.to_ascii_lowercase().as_str() {
            "select" | "with" => Ok(()),
            _ => Err("it does not begin with SELECT or WITH: it may only read".into()),
        }
    }

    /// Goes behind a comment, if there is one.
    fn comment(&mut self) -> Result<bool, String> {
        let rest = self.rest();
        let line =
            rest.starts_with("--") || (self.engine == Engine::MySql && rest.starts_with('#'));
        let length = if line {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            // MySQL runs what is inside of these.
            if rest.starts_with("/*!") || rest.starts_with("/*M!") {
                return Err("it has a comment that MySQL runs".into());
            }
            2 + rest[2..].find("*/").ok_or("a comment in it does not end")? + 2
        } else {
            return Ok(false);
        };
        self.at += length;
        Ok(true)
    }

    /// Goes behind a quoted text or name, if there is one.
    fn quoted(&mut self, sign: char) -> Result<bool, String> {
        let rest = self.rest();
        let close = match sign {
            '\'' | '"' => sign,
            '`' if self.engine != Engine::Postgres => '`',
            '[' if self.engine == Engine::Sqlite => ']',
            '$' if self.engine == Engine::Postgres => return self.dollar_quoted(),
            _ => return Ok(false),
        };
        let before = self.text[..self.at].chars().next_back();
        let escapes = match self.engine {
            Engine::MySql => close != '`',
            Engine::Postgres => sign == '\'' && matches!(before, Some('e' | 'E')),
            Engine::Sqlite => false,
        };
        let mut signs = rest.char_indices().skip(1).peekable();
        while let Some((at, one)) = signs.next() {
            if one == '\\' && escapes {
                signs.next();
            } else if one == close {
                // Two of them are one of it.
                if signs.peek().is_some_and(|(_, next)| *next == close && close != ']') {
                    signs.next();
                } else {
                    self.at += at + one.len_utf8();
                    return Ok(true);
                }
            }
        }
        Err(format!("a text in it that begins with {sign} does not end"))
    }

    /// `$tag$ … $tag$`
    fn dollar_quoted(&mut self) -> Result<bool, String> {
        let rest = self.rest();
        let Some(end) = rest[1..].find('$') else { return Ok(false) };
        let tag = &rest[..end + 2];
        let inner = &tag[1..tag.len() - 1];
        let is_tag = inner.chars().all(|c| c.is_alphanumeric() || c == '_')
            && !inner.starts_with(|c: char| c.is_ascii_digit());
        if !is_tag {
            return Ok(false);
        }
        let close = rest[tag.len()..].find(tag).ok_or("a text between dollars does not end")?;
        self.at += tag.len() + close + tag.len();
        Ok(true)
    }

    /// The name behind a colon that begins a parameter; `::` and `[1:2]` do not.
    fn name_of_parameter(&self) -> Option<String> {
        let name = self.rest().strip_prefix(':')?;
        let first = name.chars().next()?;
        let before = self.text[..self.at].ends_with(':');
        let is = (first.is_ascii_alphabetic() || first == '_') && !before;
        let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        is.then(|| name.chars().take_while(word).collect())
    }

    fn parameter(&mut self) {
        self.uses += 1;
        self.lowered.push_str(match self.engine {
            Engine::Postgres => "$1",
            Engine::MySql => "?",
            Engine::Sqlite => "?1",
        });
    }

    fn plain(&mut self, sign: char) -> Result<(), String> {
        let digit = self.rest()[sign.len_utf8()..].starts_with(|c: char| c.is_ascii_digit());
        let placeholder = match self.engine {
            Engine::Postgres => sign == '$' && digit,
            Engine::MySql => sign == '?',
            Engine::Sqlite => matches!(sign, '?' | '@' | '$'),
        };
        if placeholder {
            return Err(format!("`{sign}` stands for a value in it: write the parameter's name"));
        }
        self.at += sign.len_utf8();
        self.lowered.push(sign);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Engine::{MySql, Postgres, Sqlite};

    fn lowered(text: &str, engine: Engine) -> Result<(String, usize), String> {
        Query::parse(text, engine, "name").map(|query| (query.text().to_owned(), query.uses()))
    }

    #[test]
    fn parameter_is_lowered_for_each_engine() {
        let text = "SELECT a FROM t WHERE b = :name OR c = :name;  ";
        for (engine, wanted) in [
            (Postgres, "SELECT a FROM t WHERE b = $1 OR c = $1"),
            (MySql, "SELECT a FROM t WHERE b = ? OR c = ?"),
            (Sqlite, "SELECT a FROM t WHERE b = ?1 OR c = ?1"),
        ] {
            assert_eq!(lowered(text, engine), Ok((wanted.to_owned(), 2)));
        }
    }

    #[test]
    fn what_is_quoted_or_commented_is_no_parameter() {
        for (engine, text, wanted) in [
            (
                Postgres,
                "select ':name', \"a:name\", x::text from t where n=:name",
                "select ':name', \"a:name\", x::text from t where n=$1",
            ),
            (
                Postgres,
                "select $q$;:name$q$, a[1:2], E'\\';:name' from t where n=:name",
                "select $q$;:name$q$, a[1:2], E'\\';:name' from t where n=$1",
            ),
            (
                Postgres,
                "select 'a\\', n from t where n = :name",
                "select 'a\\', n from t where n = $1",
            ),
            (
                MySql,
                "select 'it''s \\':name', `a;b` from t where n=:name",
                "select 'it''s \\':name', `a;b` from t where n=?",
            ),
            (
                Sqlite,
                "select [a;b], 'ä;' from t where n=:name",
                "select [a;b], 'ä;' from t where n=?1",
            ),
        ] {
            assert_eq!(lowered(text, engine), Ok((wanted.to_owned(), 1)));
        }
        let commented =
            "-- who; :other\nwith x as (select 1) /* ; */ select * from x where n = :name -- end;";
        assert_eq!(lowered(commented, Postgres).unwrap().1, 1);
        let hash = "select a # :other ;\n from t where n = :name";
        assert_eq!(lowered(hash, MySql).unwrap().1, 1);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, engine, part) in [
            ("SELECT 1", Postgres, "does not use `:name`"),
            ("SELECT ':name'", Postgres, "does not use `:name`"),
            ("SELECT 1 WHERE :login = 'x'", Postgres, "`:login`"),
            ("SELECT :name; DELETE FROM users", Postgres, "more than one statement"),
            ("SELECT :name;;", MySql, "more than one statement"),
            ("DELETE FROM users WHERE n = :name", Sqlite, "SELECT or WITH"),
            ("  (SELECT :name)", MySql, "SELECT or WITH"),
            ("", MySql, "empty"),
            ("-- nothing", MySql, "empty"),
            ("SELECT 'x WHERE n = :name", Sqlite, "does not end"),
            ("SELECT 1 /* WHERE n = :name", Sqlite, "does not end"),
            ("SELECT /*! SLEEP(9), */ :name", MySql, "MySQL runs"),
            ("SELECT a FROM t WHERE b = ? AND c = :name", MySql, "stands for a value"),
            ("SELECT a FROM t WHERE b = $2 AND c = :name", Postgres, "stands for a value"),
            ("SELECT a FROM t WHERE b = @x AND c = :name", Sqlite, "stands for a value"),
        ] {
            let said = lowered(text, engine).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
        // PostgreSQL's operators on JSON.
        lowered("SELECT a FROM t WHERE b ? 'c' AND n = :name", Postgres).unwrap();
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}", head in "(SELECT|with) ") {
            for engine in [Postgres, MySql, Sqlite] {
                if let Ok(query) = Query::parse(&format!("{head}{text} "), engine, "name") {
                    proptest::prop_assert!(query.uses() > 0);
                }
            }
        }
    }
}
