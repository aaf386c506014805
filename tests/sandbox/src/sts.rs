//! STS: GetCallerIdentity, AssumeRole and AssumeRoleWithWebIdentity.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::encoding::xml;
use crate::iam::{IamError, RoleView};
use crate::sigv4::AccessKey;
use crate::state::{Caller, State, partition};
use crate::trust::{self, Principal};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

fn error(status: u16, code: &str, message: impl Into<String>) -> IamError {
    IamError {
        status,
        code: code.into(),
        message: message.into(),
        sender_fault: true,
    }
}

/// The complete `ErrorResponse` document of STS.
pub(crate) fn error_xml(e: &IamError, request_id: &str) -> String {
    let fault = if e.sender_fault { "Sender" } else { "Receiver" };
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{fault}</Type><Code>{}</Code><Message>{}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>",
        xml(&e.code),
        xml(&e.message)
    )
}

fn answer(operation: &str, result: &str, request_id: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{result}</{operation}Result><ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{operation}Response>"
    )
}

/// Whether an unsigned call of this operation is legal.
pub(crate) fn is_anonymous(operation: &str) -> bool {
    operation == "AssumeRoleWithWebIdentity"
}

/// Answers one query; `Ok` is the XML body of a 200.
pub(crate) fn handle(
    state: &mut State,
    caller: &Caller,
    operation: &str,
    parameters: &BTreeMap<String, String>,
) -> Result<String, IamError> {
    let request_id = &caller.context.request_id;
    match operation {
        "GetCallerIdentity" => {
            let result = format!(
                "<Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account>",
                xml(&caller.context.caller_arn),
                xml(&caller.user_id),
                caller.context.account_id
            );
            Ok(answer(operation, &result, request_id))
        }
        "AssumeRole" => assume_role(state, caller, parameters),
        "AssumeRoleWithWebIdentity" => assume_role_with_web_identity(state, caller, parameters),
        _ => Err(error(
            400,
            "InvalidAction",
            format!(
                "Could not find operation {operation} for version {}",
                parameters
                    .get("Version")
                    .map_or("NO_VERSION_SPECIFIED", String::as_str)
            ),
        )),
    }
}

fn required<'a>(parameters: &'a BTreeMap<String, String>, name: &str) -> Result<&'a str, IamError> {
    parameters.get(name).map(String::as_str).ok_or_else(|| {
        let member = format!("{}{}", name[..1].to_lowercase(), &name[1..]);
        error(400, "ValidationError", format!("1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"))
    })
}

/// A session to give out keys for.
pub(crate) struct Session<'a> {
    pub(crate) role_arn: &'a str,
    pub(crate) name: &'a str,
    pub(crate) seconds: i64,
}

/// Temporary keys.
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) key: AccessKey,
    pub(crate) expires: OffsetDateTime,
}

impl Issued {
    /// The members `AssumedRoleUser` and `Credentials` of an answer.
    fn xml(&self) -> String {
        let key = &self.key;
        format!(
            "<AssumedRoleUser><AssumedRoleId>{}</AssumedRoleId><Arn>{}</Arn></AssumedRoleUser><Credentials><AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken><Expiration>{}</Expiration></Credentials>",
            xml(&key.user_id),
            xml(&key.caller_arn),
            self.id,
            key.secret,
            key.session_token.as_deref().unwrap_or_default(),
            self.expires.format(&Rfc3339).unwrap_or_default()
        )
    }
}

fn session<'a>(
    parameters: &'a BTreeMap<String, String>,
    longest: i64,
) -> Result<Session<'a>, IamError> {
    let role_arn = required(parameters, "RoleArn")?;
    let name = required(parameters, "RoleSessionName")?;
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if !(2..=64).contains(&name.len()) || !name.chars().all(legal) {
        return Err(error(
            400,
            "ValidationError",
            format!(
                "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
            ),
        ));
    }
    let seconds = match parameters.get("DurationSeconds") {
        None => 3600,
        Some(text) => text.parse().ok().filter(|s| (900..=43_200).contains(s)).ok_or_else(|| {
            error(400, "ValidationError", format!("1 validation error detected: Value '{text}' at 'durationSeconds' failed to satisfy constraint: Member must have value between 900 and 43200"))
        })?,
    };
    if seconds > longest {
        return Err(error(
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    if trust::role_account(role_arn).is_none() {
        return Err(error(
            400,
            "ValidationError",
            format!("{role_arn} is invalid"),
        ));
    }
    Ok(Session {
        role_arn,
        name,
        seconds,
    })
}

/// A role as STS sees it now.
fn role_of(state: &mut State, arn: &str, now: OffsetDateTime) -> Option<RoleView> {
    let account = trust::role_account(arn)?;
    let seen = state.seen_by_sts(now);
    let iam = state.iam(account);
    seen.map_or_else(|| iam.role_by_arn(arn), |at| iam.role_at(arn, at))
}

fn assume_role(
    state: &mut State,
    caller: &Caller,
    parameters: &BTreeMap<String, String>,
) -> Result<String, IamError> {
    let session = session(parameters, if caller.temporary { 3600 } else { 43_200 })?;
    let tags: BTreeMap<&str, &str> = (1..)
        .map_while(|n| {
            parameters
                .get(&format!("Tags.member.{n}.Key"))
                .zip(parameters.get(&format!("Tags.member.{n}.Value")))
        })
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let mut facts: BTreeMap<String, String> = tags
        .iter()
        .map(|(k, v)| {
            (
                format!("aws:requesttag/{}", k.to_lowercase()),
                (*v).to_owned(),
            )
        })
        .collect();
    if let Some(id) = parameters.get("ExternalId") {
        facts.insert("sts:externalid".into(), id.clone());
    }
    facts.insert(
        "aws:principalarn".into(),
        trust::principal_arn(&caller.context.caller_arn),
    );
    facts.insert(
        "aws:principalaccount".into(),
        caller.context.account_id.clone(),
    );
    let principal = Principal::Aws {
        arn: &caller.context.caller_arn,
        account_id: &caller.context.account_id,
    };
    let denied = || {
        error(
            403,
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {}",
                caller.context.caller_arn, session.role_arn
            ),
        )
    };
    // A role that does not exist is answered as one that refuses, so that nobody can probe for names.
    let role = role_of(state, session.role_arn, caller.context.now).ok_or_else(denied)?;
    let mut actions = vec!["sts:AssumeRole"];
    if !tags.is_empty() {
        actions.push("sts:TagSession");
    }
    if !actions
        .iter()
        .all(|action| trust::allows(&role.trust, &principal, action, &facts))
    {
        return Err(denied());
    }
    let result = issue(state, &session, &role, caller).xml();
    Ok(answer("AssumeRole", &result, &caller.context.request_id))
}

fn assume_role_with_web_identity(
    state: &mut State,
    caller: &Caller,
    parameters: &BTreeMap<String, String>,
) -> Result<String, IamError> {
    let session = session(parameters, 43_200)?;
    let token = required(parameters, "WebIdentityToken")?;
    let now = caller.context.now;
    let invalid = || {
        error(
            400,
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )
    };
    let claims: Value = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok())
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(invalid)?;
    let (Some(issuer), Some(subject)) = (claims["iss"].as_str(), claims["sub"].as_str()) else {
        return Err(invalid());
    };
    if claims["exp"]
        .as_i64()
        .is_some_and(|exp| exp <= now.unix_timestamp())
    {
        return Err(error(
            400,
            "ExpiredTokenException",
            format!(
                "Token expired: current date/time {} must be before the expiration date/time",
                now.unix_timestamp()
            ),
        ));
    }
    let audience = claims["aud"]
        .as_str()
        .or_else(|| claims["aud"][0].as_str())
        .unwrap_or_default()
        .to_owned();
    let provider = issuer.trim_start_matches("https://").to_lowercase();
    let facts = BTreeMap::from([
        (format!("{provider}:sub"), subject.to_owned()),
        (format!("{provider}:aud"), audience.clone()),
    ]);
    let denied = || {
        error(
            403,
            "AccessDenied",
            "Not authorized to perform sts:AssumeRoleWithWebIdentity",
        )
    };
    // Providers are looked for where the issuer is a cluster's; other issuers are taken as registered.
    let of_cluster = state.clusters.values().any(|c| {
        c.issuer
            .trim_start_matches("https://")
            .eq_ignore_ascii_case(&provider)
    });
    let account = trust::role_account(session.role_arn).unwrap_or_default();
    if of_cluster && !state.iam(account).accepts_identities(&provider, &audience) {
        return Err(error(
            400,
            "InvalidIdentityToken",
            format!("No OpenIDConnect provider found in your account for {issuer}"),
        ));
    }
    let role = role_of(state, session.role_arn, caller.context.now).ok_or_else(denied)?;
    if !trust::allows(
        &role.trust,
        &Principal::Federated {
            provider: &provider,
        },
        "sts:AssumeRoleWithWebIdentity",
        &facts,
    ) {
        return Err(denied());
    }
    let issued = issue(state, &session, &role, caller).xml();
    let result = format!(
        "<SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken><Audience>{}</Audience><Provider>{}</Provider>{issued}",
        xml(subject),
        xml(&audience),
        xml(&provider)
    );
    Ok(answer(
        "AssumeRoleWithWebIdentity",
        &result,
        &caller.context.request_id,
    ))
}

/// Creates temporary keys of the role's account and writes them down.
pub(crate) fn issue(
    state: &mut State,
    session: &Session<'_>,
    role: &RoleView,
    caller: &Caller,
) -> Issued {
    let now = caller.context.now;
    let account_id = trust::role_account(&role.arn)
        .unwrap_or_default()
        .to_owned();
    let expires = (now + Duration::seconds(session.seconds))
        .replace_nanosecond(0)
        .unwrap_or(now);
    state
        .iam(&account_id)
        .record_role_use(&role.arn, &caller.region, now);
    let id = state.ids.access_key("ASIA");
    let key = AccessKey {
        secret: state.ids.secret(),
        session_token: Some(state.ids.session_token()),
        expires: Some(expires),
        caller_arn: format!(
            "arn:{}:sts::{account_id}:assumed-role/{}/{}",
            role.arn.split(':').nth(1).unwrap_or_else(|| partition("")),
            role.name,
            session.name
        ),
        user_id: format!("{}:{}", role.unique_id, session.name),
        account_id,
    };
    state.keys.insert(id.clone(), key.clone());
    Issued { id, key, expires }
}
