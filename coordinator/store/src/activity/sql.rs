//! What runs in the cluster, in SQL: one row of JSON.
use super::{Activity, ActivityTx};
use crate::error::{StoreResult, corrupt};
use crate::sql::{Column, Insert, Sql, values};

/// Key of the only row.
const ROW: i64 = 1;

static UPSERT: Insert<2> = Insert::new(
    "activity",
    [Column::Int("id"), Column::Text("seen")],
    "ON CONFLICT (id) DO UPDATE SET seen = excluded.seen",
);

impl<T: Sql> ActivityTx for T {
    fn activity(&mut self) -> StoreResult<Option<Activity>> {
        self.query_one(
            "SELECT seen FROM activity WHERE id = ?1",
            &values![ROW],
            |row| row.json(0, "activity"),
        )
    }

    fn put_activity(&mut self, activity: &Activity) -> StoreResult<()> {
        let seen = serde_json::to_string(activity).map_err(|e| corrupt("activity", e))?;
        self.insert(&UPSERT, &[values![ROW, seen]])
    }
}
