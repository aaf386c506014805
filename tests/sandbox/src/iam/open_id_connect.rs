//! OpenID Connect providers, the identity providers of IRSA.

use time::OffsetDateTime;

use super::error::IamError;
use super::form::Form;
use super::tags::{self, Keys, Tag};
use super::xml::Xml;
use super::{Answer, Iam, Outcome};
use crate::context::RequestContext;

/// An OpenID Connect provider.
#[derive(Clone, Debug)]
pub(super) struct OpenIdConnectProvider {
    /// The issuer without its scheme.
    url: String,
    client_ids: Vec<String>,
    thumbprints: Vec<String>,
    created: OffsetDateTime,
    pub(super) tags: Vec<Tag>,
}

impl OpenIdConnectProvider {
    /// Whether identities of this issuer for this audience are taken.
    pub(super) fn accepts(&self, issuer: &str, audience: &str) -> bool {
        self.url.eq_ignore_ascii_case(issuer) && self.client_ids.iter().any(|id| id == audience)
    }
}

/// The quota of client ids; not adjustable.
const CLIENT_IDS: usize = 100;
const THUMBPRINTS: usize = 5;
/// What AWS answers with when it fetches the certificate itself: the thumbprint may be left out since 2024.
const FETCHED_THUMBPRINT: &str = "06b25927c42a721631c1efd9431e648fa62e1e39";

fn not_found(arn: &str) -> IamError {
    IamError::no_such_entity(format!("OpenIDConnect Provider not found for arn {arn}"))
}

fn too_many_thumbprints() -> IamError {
    IamError::invalid_input("Thumbprint list must contain fewer than 5 entries.")
}

impl Iam {
    pub(super) fn create_open_id_connect_provider(
        &mut self,
        context: &RequestContext,
        form: &mut Form<'_>,
    ) -> Outcome {
        let client_ids = form.string_list("ClientIDList", 1, 255);
        let mut thumbprints = form.string_list("ThumbprintList", 40, 40);
        let url = form.required("Url").unwrap_or_default();
        if url.chars().count() > 255 {
            form.violate("Url", "Member must have length less than or equal to 255");
        }
        let tags = form.tags();
        form.check()?;
        Keys::CaseSensitive.check(&tags)?;
        let host = url
            .strip_prefix("https://")
            .map(|rest| rest.trim_end_matches('/'))
            .filter(|rest| is_issuer(rest));
        let host =
            host.ok_or_else(|| IamError::validation("Invalid Open ID Connect Provider URL"))?;
        if thumbprints.len() > THUMBPRINTS {
            return Err(too_many_thumbprints());
        }
        if client_ids.len() > CLIENT_IDS {
            return Err(IamError::quota(
                "ClientIdsPerOpenIdConnectProvider",
                CLIENT_IDS,
            ));
        }
        let arn = format!(
            "arn:{}:iam::{}:oidc-provider/{host}",
            context.partition, context.account_id
        );
        if self.open_id_connect_providers.contains_key(&arn) {
            return Err(IamError::already_exists(format!(
                "Provider with url {url} already exists."
            )));
        }
        if self.open_id_connect_providers.len() >= self.quotas.open_id_connect_providers_per_account
        {
            return Err(IamError::quota(
                "OpenIdConnectProvidersPerAccount",
                self.quotas.open_id_connect_providers_per_account,
            ));
        }
        if thumbprints.is_empty() {
            thumbprints.push(FETCHED_THUMBPRINT.into());
        }
        let mut xml = Xml::new();
        xml.text("OpenIDConnectProviderArn", &arn);
        if !tags.is_empty() {
            tags::write(&mut xml, &tags);
        }
        let provider = OpenIdConnectProvider {
            url: host.to_owned(),
            client_ids,
            thumbprints,
            created: context.now,
            tags,
        };
        self.open_id_connect_providers.insert(arn, provider);
        Ok(Answer::Result(xml))
    }

    pub(super) fn get_open_id_connect_provider(&self, form: &mut Form<'_>) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        form.check()?;
        let provider = self.open_id_connect_providers.get(&arn);
        let provider = provider.ok_or_else(|| not_found(&arn))?;
        let mut xml = Xml::new();
        xml.text("Url", &provider.url);
        xml.strings(
            "ClientIDList",
            provider.client_ids.iter().map(String::as_str),
        );
        xml.strings(
            "ThumbprintList",
            provider.thumbprints.iter().map(String::as_str),
        );
        xml.date("CreateDate", provider.created);
        tags::write(&mut xml, &tags::sorted(&provider.tags));
        Ok(Answer::Result(xml))
    }

    pub(super) fn list_open_id_connect_providers(&self) -> Answer {
        let mut xml = Xml::new();
        xml.list(
            "OpenIDConnectProviderList",
            self.open_id_connect_providers.keys(),
            |xml, arn| xml.text("Arn", arn),
        );
        Answer::Result(xml)
    }

    pub(super) fn update_open_id_connect_provider_thumbprint(
        &mut self,
        form: &mut Form<'_>,
    ) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        let thumbprints = form.string_list("ThumbprintList", 40, 40);
        form.check()?;
        if thumbprints.len() > THUMBPRINTS {
            return Err(too_many_thumbprints());
        }
        self.provider_mut(&arn)?.thumbprints = thumbprints;
        Ok(Answer::Empty)
    }

    /// Adding an id that is there already is no error.
    pub(super) fn add_client_id_to_open_id_connect_provider(
        &mut self,
        form: &mut Form<'_>,
    ) -> Outcome {
        let (arn, client_id) = (
            form.arn("OpenIDConnectProviderArn"),
            form.text("ClientID", 1, 255),
        );
        form.check()?;
        let client_ids = &mut self.provider_mut(&arn)?.client_ids;
        if !client_ids.contains(&client_id) {
            if client_ids.len() >= CLIENT_IDS {
                return Err(IamError::quota(
                    "ClientIdsPerOpenIdConnectProvider",
                    CLIENT_IDS,
                ));
            }
            client_ids.push(client_id);
        }
        Ok(Answer::Empty)
    }

    /// Removing an id that is not there is no error.
    pub(super) fn remove_client_id_from_open_id_connect_provider(
        &mut self,
        form: &mut Form<'_>,
    ) -> Outcome {
        let (arn, client_id) = (
            form.arn("OpenIDConnectProviderArn"),
            form.text("ClientID", 1, 255),
        );
        form.check()?;
        self.provider_mut(&arn)?
            .client_ids
            .retain(|known| *known != client_id);
        Ok(Answer::Empty)
    }

    /// The provider of this ARN.
    pub(super) fn provider_mut(
        &mut self,
        arn: &str,
    ) -> Result<&mut OpenIdConnectProvider, IamError> {
        self.open_id_connect_providers
            .get_mut(arn)
            .ok_or_else(|| not_found(arn))
    }

    pub(super) fn delete_open_id_connect_provider(&mut self, form: &mut Form<'_>) -> Outcome {
        let arn = form.arn("OpenIDConnectProviderArn");
        form.check()?;
        if self.open_id_connect_providers.remove(&arn).is_none() {
            return Err(IamError::no_such_entity(format!(
                "OpenId connect Provider {arn} cannot be found."
            )));
        }
        Ok(Answer::Empty)
    }
}

/// A host with an optional path, and nothing else of a URL.
fn is_issuer(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.contains('.')
        && rest
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "-._~/%".contains(character))
}
