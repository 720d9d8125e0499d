//! Why an account or a target could not be made, changed or tried.

use tidegate_cdn::{AccountError, ObjectError};
use tidegate_core::AppId;
use tidegate_core::text::printable;
use tidegate_ledger::{LedgerError, Vendor};
use tidegate_probe::{LookerError, TemplateError};

/// Why an account or a target could not be made, changed or tried. Never quotes a secret.
#[derive(Debug, thiserror::Error)]
pub enum CdnError {
    /// Not one of the four.
    #[error("{:?} is not a vendor; use ws, aliyun, tencent or huawei", printable(.0, 40))]
    Vendor(String),
    /// A name that no address can hold.
    #[error("an account cannot be called {0:?}: it would vanish from the address of its page")]
    DotName(String),
    /// The name is taken.
    #[error(
        "there is an account {0:?} already; choose another name, or give it another key with \
         `tidegate account rotate`"
    )]
    NameTaken(String),
    /// Objects are told apart by account: under two names, one would lift the other's bans.
    #[error(
        "account {0:?} has this key already; add targets to that account: a ban and a budget \
         that belong to one key cannot be kept under two names"
    )]
    KeyTaken(String),
    /// Not a scheme at all.
    #[error(
        "{:?} is not a signature scheme; {vendor} takes {takes}",
        printable(word, 40)
    )]
    Scheme {
        /// What came.
        word: String,
        /// The vendor.
        vendor: Vendor,
        /// What it takes.
        takes: String,
    },
    /// The description of the account.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// No such account.
    #[error("there is no account {:?}; {}", printable(name, 110), listed(known))]
    UnknownAccount {
        /// What came.
        name: String,
        /// The accounts there are.
        known: Vec<String>,
    },
    /// Targets use it.
    #[error(
        "account {name} is in use by {users}; remove its targets first with `tidegate target \
         remove ID`, and wait for those that are leaving until their bans are lifted"
    )]
    InUse {
        /// The account.
        name: String,
        /// Its targets, in words.
        users: String,
    },
    /// The account is at another vendor.
    #[error(
        "account {account} is one at {has}, and the target is to be at {asked}; name an account \
         at {asked}, or leave the vendor to the account"
    )]
    OtherVendor {
        /// The account.
        account: String,
        /// Its vendor.
        has: Vendor,
        /// What was asked for.
        asked: Vendor,
    },
    /// No such App.
    #[error("there is no App {0}; `tidegate app list` shows all")]
    UnknownApp(AppId),
    /// The names of the target.
    #[error(transparent)]
    Site(#[from] ObjectError),
    /// Somebody has that domain and RTMP app.
    #[error("{0}")]
    TargetTaken(String),
    /// A play URL template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Looks cannot be made at all.
    #[error(transparent)]
    Looker(#[from] LookerError),
    /// More templates than looks would ever use.
    #[error("a target has {0} play URL templates at most")]
    TooManyTemplates(usize),
    /// The key for play URLs.
    #[error("the play key is empty, too long or has spaces or unprintable characters")]
    PlayKey,
    /// No such target, or the origin's.
    #[error("there is no target {0} at a vendor; `tidegate target list` shows all")]
    UnknownTarget(i64),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

fn listed(known: &[String]) -> String {
    match known {
        [] => "there is none yet, add one with `tidegate account add`".to_owned(),
        names => {
            let names: Vec<String> = names.iter().map(|name| printable(name, 110)).collect();
            format!("there are {}", names.join(", "))
        }
    }
}
