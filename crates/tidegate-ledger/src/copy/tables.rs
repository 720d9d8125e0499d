//! The tables of a ledger, as every back end has them.

/// What a column holds. Any of them may be NULL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A number.
    Int,
    /// Yes or no.
    Flag,
    /// Text that is plain by its nature: names and words of our own.
    Text,
    /// Text from outside.
    Free,
    /// Bytes.
    Bytes,
    /// A secret, sealed for this table, this column, and the row that the first `n` columns name.
    Sealed(usize),
}

/// One table.
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
}

use Kind::{Bytes, Flag, Free, Int, Sealed, Text};

/// Every table but `meta`, which the back ends shape differently, and what a back end keeps for
/// its own running. In an order that satisfies foreign keys.
pub(super) const TABLES: [Table; 14] = [
    Table {
        name: "clock",
        columns: &[
            ("only", Int),
            ("wall_ms", Int),
            ("since_boot_ms", Int),
            ("boot", Free),
        ],
    },
    Table {
        name: "apps",
        columns: &[
            ("id", Int),
            ("place", Int),
            ("name", Free),
            ("disabled", Flag),
            ("created_ms", Int),
            ("publish_auth", Text),
            ("bind_nonces", Flag),
            ("default_forbid_ms", Int),
            ("callback_secret", Sealed(1)),
            ("publish_key", Sealed(1)),
            ("publish_key_backup", Sealed(1)),
        ],
    },
    Table {
        name: "server_secrets",
        columns: &[
            ("app_id", Int),
            ("serial", Int),
            ("sealed", Sealed(2)),
            ("expires_ms", Int),
        ],
    },
    Table {
        name: "accounts",
        columns: &[
            ("id", Int),
            ("name", Free),
            ("vendor", Text),
            ("access_key_id", Free),
            ("secret", Sealed(1)),
            ("security_token", Sealed(1)),
            ("scheme", Free),
            ("region", Free),
            ("project_id", Free),
            ("endpoint", Free),
            ("strict", Flag),
            ("epoch", Int),
            ("created_ms", Int),
            ("rotated_ms", Int),
        ],
    },
    Table {
        name: "targets",
        columns: &[
            ("id", Int),
            ("app_id", Int),
            ("vendor", Text),
            ("publish_domain", Text),
            ("rtmp_app", Text),
            ("account", Int),
            ("play_domain", Text),
            ("play_urls", Text),
            ("play_key", Sealed(1)),
            ("leaving_ms", Int),
            ("probe", Free),
        ],
    },
    Table {
        name: "objects",
        columns: &[
            ("account", Int),
            ("site", Text),
            ("stream", Text),
            ("state", Free),
            ("version", Int),
            ("due_ms", Int),
        ],
    },
    Table {
        name: "budgets",
        columns: &[("account", Int), ("state", Free)],
    },
    Table {
        name: "chain",
        columns: &[
            ("seq", Int),
            ("kind", Text),
            ("digest", Bytes),
            ("hash", Bytes),
        ],
    },
    Table {
        name: "decisions",
        columns: &[
            ("link", Int),
            ("app_id", Int),
            ("stream", Text),
            ("generation", Int),
            ("verb", Text),
            ("until_ms", Int),
            ("held", Flag),
            ("actor", Text),
            ("operator", Free),
            ("client", Text),
            ("reason", Free),
            ("at_ms", Int),
            ("request_id", Int),
        ],
    },
    Table {
        name: "attempts",
        columns: &[
            ("link", Int),
            ("place", Int),
            ("app_id", Int),
            ("stream", Text),
            ("target", Int),
            ("generation", Int),
            ("at_ms", Int),
            ("result", Text),
            ("vendor_request_id", Free),
            ("words", Free),
        ],
    },
    Table {
        name: "events",
        columns: &[
            ("link", Int),
            ("verb", Text),
            ("actor", Text),
            ("operator", Free),
            ("client", Text),
            ("detail", Free),
            ("at_ms", Int),
            ("request_id", Int),
        ],
    },
    Table {
        name: "blocks",
        columns: &[
            ("app_id", Int),
            ("stream", Text),
            ("generation", Int),
            ("since_ms", Int),
            ("until_ms", Int),
            ("held_resume", Int),
        ],
    },
    Table {
        name: "placements",
        columns: &[
            ("app_id", Int),
            ("stream", Text),
            ("target", Int),
            ("wanted", Int),
            ("accepted", Int),
            ("accepted_ms", Int),
            ("observed", Text),
            ("observed_ms", Int),
            ("watch", Free),
            ("look_ms", Int),
        ],
    },
    Table {
        name: "nonces",
        columns: &[
            ("app_id", Int),
            ("nonce", Free),
            ("digest", Bytes),
            ("expires_ms", Int),
            ("request_id", Int),
            ("stream", Text),
            ("generation", Int),
            ("answer", Free),
        ],
    },
];

impl Table {
    /// The names of its columns, quoted, with commas between.
    pub(super) fn names(&self) -> String {
        let quoted = |(name, _): &(&str, Kind)| format!("\"{name}\"");
        let names: Vec<String> = self.columns.iter().map(quoted).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Tables and their columns, as the statements of a migration make them.
    fn schema(sql: &str) -> BTreeMap<String, Vec<String>> {
        let mut tables = BTreeMap::new();
        for statement in sql.split("CREATE TABLE ").skip(1) {
            let (name, rest) = statement.split_once(" (").expect("a body");
            let columns = rest
                .lines()
                .skip(1)
                .take_while(|line| !line.starts_with(')'))
                .map(|line| line.split_whitespace().next().expect("a word"))
                .filter(|word| !["PRIMARY", "UNIQUE", "UNIQUE,", "CHECK"].contains(word))
                .map(|word| word.trim_matches('"').to_owned());
            tables.insert(name.to_owned(), columns.collect());
        }
        for statement in sql.split("ALTER TABLE ").skip(1) {
            let mut words = statement.split_whitespace();
            let table = words.next().expect("a table");
            if words.next() != Some("ADD") {
                continue;
            }
            let column = words.nth(1).expect("a column");
            let columns: &mut Vec<_> = tables.get_mut(table).expect("made before");
            columns.push(column.to_owned());
        }
        tables
    }

    #[test]
    fn every_table_and_column_of_both_schemas_is_listed() {
        let mut listed: BTreeMap<String, Vec<String>> = TABLES
            .iter()
            .map(|table| {
                let names = table.columns.iter().map(|(name, _)| (*name).to_owned());
                (table.name.to_owned(), names.collect())
            })
            .collect();
        let mut sqlite = schema(concat!(
            include_str!("../../migrations/sqlite/0001_ledger.sql"),
            include_str!("../../migrations/sqlite/0002_append_only.sql"),
            include_str!("../../migrations/sqlite/0003_cdns.sql")
        ));
        let mut postgres = schema(concat!(
            include_str!("../../migrations/postgres/0001_ledger.sql"),
            include_str!("../../migrations/postgres/0002_append_only.sql"),
            include_str!("../../migrations/postgres/0003_cdns.sql")
        ));
        for schema in [&mut sqlite, &mut postgres] {
            assert!(schema.remove("meta").is_some());
        }
        for own in ["writers", "leases"] {
            assert!(postgres.remove(own).is_some());
        }
        for columns in [&mut listed, &mut sqlite, &mut postgres] {
            columns.values_mut().for_each(|names| names.sort());
        }
        assert_eq!(sqlite, listed);
        assert_eq!(postgres, listed);
    }
}
