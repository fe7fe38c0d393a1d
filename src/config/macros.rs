//! `section!` and `words!`: one list of keys or words becomes a type, its reader and its documentation.

/// Declares a table of the file: `/// docs` `key: Type = default,` for each key. A default is a TOML
/// literal, or after `=>` a text that holds TOML; a key without one is optional or checked by `lower`.
macro_rules! section {
    ($(#[doc = $table_doc:literal])* pub struct $name:ident { $(
        $(#[doc = $doc:literal])*
        $key:ident: $type:ty $(= $default:literal)? $(=> $toml:literal)?
    ),* $(,)? }) => {
        $(#[doc = $table_doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: Field<$type>, )*
        }

        impl $name {
            /// What the documentation says of this table.
            pub const TABLE: Table = Table {
                docs: &[$($table_doc),*],
                keys: &[$( Key {
                    name: plain(stringify!($key)),
                    type_name: <$type as FromToml>::type_name,
                    default: section!(@default $($default)? $(=> $toml)?),
                    docs: &[$($doc),*],
                    shape: <$type as FromToml>::SHAPE,
                    table: <$type as FromToml>::table,
                    schema: <$type as FromToml>::schema,
                } ),*],
            };

            $( $(
                /// What the file says, or the default.
                pub fn $key(&self) -> Spanned<$type> {
                    self.$key.or_default(stringify!($default))
                }
            )? $(
                /// What the file says, or the default.
                pub fn $key(&self) -> Spanned<$type> {
                    self.$key.or_default($toml)
                }
            )? )*

            /// Reads every key of the table and reports those it does not know.
            pub fn read_table(table: &DeTable<'_>, at: &str, out: &mut Diagnostics) -> Self {
                let mut read = Self::default();
                for (key, value) in table.iter() {
                    match written(key.get_ref()) {
                        $( stringify!($key) => {
                            read.$key = field(value, &join(at, plain(stringify!($key))), out);
                        } )*
                        _ => {
                            let unknown = key.get_ref().as_ref();
                            let known = Self::TABLE.keys.iter().map(|key| key.name);
                            out.unknown_key(&key.span(), unknown, at, known.collect(), home(unknown, at));
                        }
                    }
                }
                read
            }
        }

        impl FromToml for $name {
            const SHAPE: Shape = Shape::Section;

            fn type_name() -> String {
                "table".to_owned()
            }

            fn table() -> Option<&'static Table> {
                Some(&Self::TABLE)
            }

            fn schema() -> serde_json::Value {
                $crate::config::schema::table(&Self::TABLE)
            }

            fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
                let first = Self::TABLE.keys.first().map_or("key", |key| key.name);
                let table = table(value, span, at, &format!("a table: {{ {first} = … }}"), out)?;
                Some(Self::read_table(table, at, out))
            }
        }
    };
    (@default) => { None };
    (@default $default:literal) => { Some(stringify!($default)) };
    (@default => $toml:literal) => { Some($toml) };
}

/// Declares a closed list of words, each with its meaning in Rust.
macro_rules! words {
    ($(#[doc = $doc:literal])* pub enum $name:ident { $( $(#[doc = $word_doc:literal])* $word:ident = $text:literal ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[doc = $word_doc])* $word ),* }

        impl $name {
            /// Every word, in the order of the documentation.
            pub const WORDS: &[(&str, $name)] = &[$( ($text, $name::$word) ),*];
        }

        impl FromToml for $name {
            fn type_name() -> String {
                let words: Vec<String> = Self::WORDS.iter().map(|(word, _)| format!("`\"{word}\"`")).collect();
                words.join(" or ")
            }

            fn schema() -> serde_json::Value {
                let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                serde_json::json!({ "enum": words })
            }

            fn read(value: &DeValue<'_>, span: &Span, at: &str, out: &mut Diagnostics) -> Option<Self> {
                let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                let Some(text) = value.as_str() else {
                    out.wrong_type(span, at, &format!("\"{}\"", words.join("\" or \"")), value.type_str());
                    return None;
                };
                let found = Self::WORDS.iter().find(|(word, _)| *word == text);
                if found.is_none() {
                    out.unknown_word(span, at, text, &words);
                }
                found.map(|(_, word)| *word)
            }
        }
    };
}

pub(super) use {section, words};
