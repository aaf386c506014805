//! Everything the provider offers, by name, with schemas built once and only when needed.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::framework::Diagnostics;
use crate::framework::action::Action;
use crate::framework::data_source::DataSource;
use crate::framework::engine::{IdentityType, ObjectSchema};
use crate::framework::ephemeral::EphemeralResource;
use crate::framework::function::Function;
use crate::framework::list_resource::ListResource;
use crate::framework::provider::Provider;
use crate::framework::resource::{Identity, Resource};
use crate::framework::schema::Schema;

use super::call::no_such_type;

/// What a provider with configured data `D` offers.
pub(super) struct Registry<D> {
    /// The schema of the provider block.
    pub(super) provider_schema: OnceLock<ObjectSchema>,
    /// Managed resources by type name.
    pub(super) resources: Table<dyn Resource<D>>,
    /// Data sources by type name.
    pub(super) data_sources: Table<dyn DataSource<D>>,
    /// Ephemeral resources by type name.
    pub(super) ephemeral_resources: Table<dyn EphemeralResource<D>>,
    /// List resources by type name.
    pub(super) list_resources: Table<dyn ListResource<D>>,
    /// Actions by type name.
    pub(super) actions: Table<dyn Action<D>>,
    /// Functions by name.
    pub(super) functions: BTreeMap<&'static str, Arc<dyn Function>>,
}

/// Objects of one kind by type name.
pub(super) struct Table<T: ?Sized> {
    kind: &'static str,
    entries: BTreeMap<&'static str, Entry<T>>,
}

/// One object and its schema.
pub(super) struct Entry<T: ?Sized> {
    /// The object.
    pub(super) object: Arc<T>,
    schema: OnceLock<ObjectSchema>,
    identity: OnceLock<Option<IdentityType>>,
}

impl<D> Registry<D> {
    pub(super) fn new<P: Provider<Data = D>>(provider: &P) -> Self {
        Self {
            provider_schema: OnceLock::new(),
            resources: Table::new("resource type", provider.resources(), |o| o.type_name()),
            data_sources: Table::new("data source", provider.data_sources(), |o| o.type_name()),
            ephemeral_resources: Table::new(
                "ephemeral resource type",
                provider.ephemeral_resources(),
                |o| o.type_name(),
            ),
            list_resources: Table::new("list resource type", provider.list_resources(), |o| {
                o.type_name()
            }),
            actions: Table::new("action", provider.actions(), |o| o.type_name()),
            functions: provider
                .functions()
                .into_iter()
                .map(|function| (function.name(), function))
                .collect(),
        }
    }
}

impl<T: ?Sized> Table<T> {
    fn new(kind: &'static str, objects: Vec<Arc<T>>, name: impl Fn(&T) -> &'static str) -> Self {
        let entries = objects
            .into_iter()
            .map(|object| (name(&object), Entry::from(object)))
            .collect();
        Self { kind, entries }
    }

    /// The object called `type_name`, or the diagnostic for the user.
    pub(super) fn find(&self, type_name: &str) -> Result<&Entry<T>, Diagnostics> {
        self.entries
            .get(type_name)
            .ok_or_else(|| no_such_type(self.kind, type_name))
    }

    /// All, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Entry<T>)> {
        self.entries.iter().map(|(name, entry)| (*name, entry))
    }

    /// All type names.
    pub(super) fn names(&self) -> impl Iterator<Item = String> + '_ {
        self.entries.keys().map(ToString::to_string)
    }
}

impl<T: ?Sized> From<Arc<T>> for Entry<T> {
    fn from(object: Arc<T>) -> Self {
        Self {
            object,
            schema: OnceLock::new(),
            identity: OnceLock::new(),
        }
    }
}

/// What has a schema.
pub(super) trait HasSchema {
    /// Builds it.
    fn build(&self) -> Schema;
}

macro_rules! has_schema {
    ($($name:ident)+) => { $(
        impl<D> HasSchema for dyn $name<D> {
            fn build(&self) -> Schema {
                self.schema()
            }
        }
    )+ };
}

has_schema! { Action DataSource EphemeralResource ListResource Resource }

impl<T: HasSchema + ?Sized> Entry<T> {
    /// The schema, built at the first call.
    pub(super) fn schema(&self) -> &ObjectSchema {
        self.schema.get_or_init(|| self.object.build().into())
    }
}

impl<D> Entry<dyn Resource<D>> {
    /// The identity schema, if the resource has an identity.
    pub(super) fn identity(&self) -> Option<&IdentityType> {
        self.identity
            .get_or_init(|| {
                self.object
                    .as_identity()
                    .map(Identity::identity_schema)
                    .map(IdentityType::from)
            })
            .as_ref()
    }
}
