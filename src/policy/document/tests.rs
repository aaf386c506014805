use super::*;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"Service":"pods.eks.amazonaws.com"},"Action":["sts:AssumeRole","sts:TagSession"]}]}"#;

#[test]
fn documents_are_written_as_they_were_read() {
    let documents = [
        TRUST,
        r#"{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}"#,
        r#"{"Id":"x","Version":"2008-10-17","Statement":[],"Future":{"a":[1,2.50,true,null]}}"#,
        r#"{"Version":"2012-10-17","Statement":[{"Future":1,"Condition":{"Bool":{"aws:SecureTransport":true},"NumericLessThan":{"k":[5,"6"]}},"NotAction":"a","Effect":"Deny","NotPrincipal":{"AWS":["1","2"]},"NotResource":[]}]}"#,
        r#"{}"#,
        r#"{"statement":[{"Effect":"Allow"}],"version":"2012-10-17"}"#,
    ];
    for text in documents {
        let document = Document::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(document.to_json(), text);
    }
}

#[test]
fn texts_that_are_no_documents() {
    let cases = [
        ("empty", "", "the policy document is empty"),
        ("white space", " \n", "the policy document is empty"),
        (
            "not JSON",
            "{\n  \"Version\": 2012-10\n}",
            "the policy document is not valid JSON: expected `,` or `}` at byte offset 19 (line 2, column 18)",
        ),
        (
            "cut off",
            "{\"Version\": \"2012",
            "the policy document is not valid JSON: EOF while parsing a string at byte offset 16 (line 1, column 17)",
        ),
        (
            "list",
            "[{}]",
            "the policy document must be a JSON object, but it is a list",
        ),
        (
            "number",
            "5",
            "the policy document must be a JSON object, but it is a number",
        ),
        (
            "string",
            "\"hello\"",
            "the policy document must be a JSON object, but it is a string",
        ),
        (
            "encoded twice",
            "\"{\\\"Version\\\":\\\"2012-10-17\\\"}\"",
            "the policy document is a JSON string that itself holds JSON: it was encoded twice, remove one jsonencode()",
        ),
        (
            "twice at the top",
            "{\"Version\":\"a\",\"Version\":\"b\"}",
            "the policy document has the member Version twice, the second time at byte offset 15",
        ),
        (
            "twice in another case",
            "{\"Version\":\"a\",\"version\":\"b\"}",
            "the policy document has the member version twice, the second time at byte offset 15",
        ),
        (
            "twice deep down, once escaped",
            r#"{"Statement":[{},{"Condition":{"StringEquals":{"k":"}","\u006b":"x"}}}]}"#,
            "the policy document has the member Statement[1].Condition.StringEquals.k twice, the second time at byte offset 55",
        ),
        (
            "statement is text",
            r#"{"Statement":"x"}"#,
            "Statement must be an object or a list of objects, but it is a string",
        ),
        (
            "statement in a list is text",
            r#"{"Statement":[{"Effect":"Allow"},"x"]}"#,
            "Statement[1] must be an object, but it is a string",
        ),
        (
            "action is a number",
            r#"{"Statement":[{"Action":5}]}"#,
            "Statement[0].Action must be a string or a list of strings, but it is a number",
        ),
        (
            "action list",
            r#"{"Statement":{"Action":["a",{}]}}"#,
            "Statement.Action[1] must be a string, but it is an object",
        ),
        (
            "principal",
            r#"{"Statement":[{"Principal":["*"]}]}"#,
            "Statement[0].Principal must be \"*\" or an object, but it is a list",
        ),
        (
            "condition",
            r#"{"Statement":[{"Condition":{"StringEquals":"x"}}]}"#,
            "Statement[0].Condition.StringEquals must be an object, but it is a string",
        ),
        (
            "condition value",
            r#"{"Statement":[{"Condition":{"Bool":{"k":null}}}]}"#,
            "Statement[0].Condition.Bool.k must be a string, a number, a boolean or a list of them, but it is null",
        ),
        (
            "version",
            r#"{"Version":20121017}"#,
            "Version must be a string, but it is a number",
        ),
    ];
    for (what, text, message) in cases {
        assert_eq!(
            Document::parse(text).map_err(|error| error.to_string()),
            Err(message.to_owned()),
            "{what}"
        );
    }
}

#[test]
fn the_same_key_in_two_objects_is_no_duplicate() {
    let text = r#"{"Statement":[{"Sid":"a","Effect":"Allow"},{"Sid":"a","Effect":"Deny","Condition":{"StringEquals":{"a":"Sid"},"StringLike":{"a":["Sid","Sid"]}}}]}"#;
    assert!(Document::parse(text).is_ok());
}

#[test]
fn additional_statements_come_in_three_forms() {
    let one = r#"{"Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole"}"#;
    for text in [
        one.to_owned(),
        format!("[{one}]"),
        format!(r#"{{"Version":"2012-10-17","Statement":{one}}}"#),
        format!(r#"{{"Statement":[{one}]}}"#),
    ] {
        let statements = Statement::parse_all(&text).unwrap();
        assert_eq!(
            statements
                .iter()
                .map(Statement::to_json)
                .collect::<Vec<_>>(),
            [one.to_owned()],
            "{text}"
        );
    }
    assert_eq!(
        Statement::parse_all("[5]").map_err(|e| e.to_string()),
        Err("[0] must be an object, but it is a number".to_owned())
    );
    assert_eq!(
        Statement::parse_all(r#"{"Effect":1}"#).map_err(|e| e.to_string()),
        Err("Effect must be a string, but it is a number".to_owned())
    );
}

#[test]
fn accessors() {
    let text = r#"{"Version":"2012-10-17","Id":"i","Statement":{"Sid":"s","Effect":"deny","Principal":{"AWS":["a","b"],"Service":"c"},"NotAction":"x","Condition":{"Bool":{"k":true},"NumericEquals":{"n":[5.0,"7"]}}}}"#;
    let document = Document::parse(text).unwrap();
    assert_eq!(
        (document.version(), document.id()),
        (Some("2012-10-17"), Some("i"))
    );
    let [statement] = document.statements() else {
        panic!("one statement")
    };
    assert_eq!(statement.sid(), Some("s"));
    assert_eq!(statement.effect(), Some(Effect::Deny));
    assert_eq!(
        statement.principal(),
        Some(Principal::Typed(vec![
            ("AWS", vec!["a", "b"]),
            ("Service", vec!["c"])
        ]))
    );
    assert_eq!(statement.list("NotAction"), ["x"]);
    assert_eq!(
        statement.conditions(),
        [
            Condition {
                operator: "Bool",
                key: "k",
                values: vec!["true".into()]
            },
            Condition {
                operator: "NumericEquals",
                key: "n",
                values: vec!["5".into(), "7".into()]
            }
        ]
    );
}

#[test]
fn a_single_statement_becomes_a_list_when_a_second_comes() {
    let mut document =
        Document::parse(r#"{"Statement":{"Effect":"Allow"},"Version":"2012-10-17"}"#).unwrap();
    let other = Statement::parse_all(r#"{"Effect":"Deny"}"#)
        .unwrap()
        .remove(0);
    document.statements_mut().push(other);
    assert_eq!(
        document.to_json(),
        r#"{"Statement":[{"Effect":"Allow"},{"Effect":"Deny"}],"Version":"2012-10-17"}"#
    );
    document.statements_mut().pop();
    assert_eq!(
        document.to_json(),
        r#"{"Statement":{"Effect":"Allow"},"Version":"2012-10-17"}"#
    );
    let mut empty = Document::parse("{}").unwrap();
    empty.statements_mut().push(Statement::default());
    assert_eq!(empty.to_json(), r#"{"Statement":[{}]}"#);
}

#[test]
fn numbers_have_one_form() {
    let cases = [
        ("5", "5"),
        ("5.0", "5"),
        ("5.50", "5.5"),
        ("5e0", "5"),
        ("1e3", "1000"),
        ("12.5e-1", "1.25"),
        ("1e-3", "0.001"),
        ("-0.0", "0"),
        ("-2.0", "-2"),
        ("0.10", "0.1"),
        ("1e99999", "1e99999"),
        ("12345678901234567890123", "12345678901234567890123"),
    ];
    for (text, normal) in cases {
        assert_eq!(normal_number(text), normal, "{text}");
    }
}
