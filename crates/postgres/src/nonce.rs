//! Single-use things.

use crate::Registry;
use async_trait::async_trait;
use model::{
    error::Fault,
    id::Time,
    port::{Burnt, Nonces, Taken},
};

/// Every statement forgets in passing up to eight rows that are too old, and passes over those
/// that somebody else forgets just now. It adds one row at most, so tables shrink again after a
/// flood. Its own row it leaves alone: one statement changes a row once.
macro_rules! forget {
    ($table:literal, $now:literal) => {
        concat!(
            "WITH old AS (DELETE FROM ",
            $table,
            " WHERE ctid = ANY (ARRAY(
                SELECT ctid FROM ",
            $table,
            " WHERE until < ",
            $now,
            " AND (owner, token) <> ($1, $2)
                ORDER BY until LIMIT 8 FOR UPDATE SKIP LOCKED))) "
        )
    };
}

const MINT: &str = concat!(
    forget!("challenge", "$4"),
    "INSERT INTO challenge (owner, token, until) VALUES ($1, $2, $3)
     ON CONFLICT (owner, token) DO UPDATE SET until = excluded.until"
);

const TAKE: &str = concat!(
    forget!("challenge", "$3"),
    "DELETE FROM challenge WHERE owner = $1 AND token = $2 AND until >= $3 RETURNING 1"
);

const BURN: &str = concat!(
    forget!("burnt", "$4"),
    "INSERT INTO burnt (owner, token, until) VALUES ($1, $2, $3)
     ON CONFLICT (owner, token)
     DO UPDATE SET until = excluded.until WHERE burnt.until < $4 RETURNING 1"
);

#[async_trait]
impl Nonces for Registry {
    async fn mint(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<(), Fault> {
        let (token, owner) = (token.as_bytes(), owner.as_bytes());
        self.rows(MINT, &[&owner, &token, &until.0, &now.0]).await?;
        Ok(())
    }

    async fn take(&self, token: &str, owner: &str, now: Time) -> Result<Taken, Fault> {
        let (token, owner) = (token.as_bytes(), owner.as_bytes());
        let taken = self.row(TAKE, &[&owner, &token, &now.0]).await?;
        Ok(taken.map_or(Taken::No, |_| Taken::Yes))
    }

    async fn burn(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<Burnt, Fault> {
        let (token, owner) = (token.as_bytes(), owner.as_bytes());
        let marked = self.row(BURN, &[&owner, &token, &until.0, &now.0]).await?;
        Ok(marked.map_or(Burnt::Seen, |_| Burnt::New))
    }
}
