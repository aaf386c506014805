//! The role annotation of a service account: taking it away and putting it back.
