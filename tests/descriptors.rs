//! Compares what `proto/*.proto` compiles to with the published interface, kept as data in `tests/proto-interface`.
//!
//! Both sides are brought to the same JSON form, so that one comparison covers packages, services, streaming sides,
//! messages, fields, numbers, types, labels, oneofs, map entries, reserved numbers, deprecation and enums, in order.

use prost::Message as _;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use serde_json::{Map, Value, json};

/// Every descriptor the build script compiled, imports included.
fn compiled() -> FileDescriptorSet {
    FileDescriptorSet::decode(&include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"))[..])
        .expect("the build script wrote a descriptor set")
}

#[test]
fn compiled_descriptors_equal_the_published_interface() {
    let set = compiled();
    let cases = [
        ("tfplugin6", include_str!("proto-interface/tfplugin6.json")),
        (
            "grpc_controller",
            include_str!("proto-interface/grpc_controller.json"),
        ),
        (
            "grpc_broker",
            include_str!("proto-interface/grpc_broker.json"),
        ),
        (
            "grpc_stdio",
            include_str!("proto-interface/grpc_stdio.json"),
        ),
    ];
    for (name, published) in cases {
        let file = format!("{name}.proto");
        let file = set
            .file
            .iter()
            .find(|candidate| candidate.name() == file)
            .unwrap_or_else(|| panic!("{name}: not compiled; have {:?}", names(&set)));
        assert_eq!(file.syntax(), "proto3", "{name}");
        let published: Value = serde_json::from_str(published).expect("the interface is JSON");
        let ours = interface(file);
        // Piece by piece first: a difference in one message should not print the other 150.
        for part in ["services", "messages", "enums"] {
            let (ours, published) = (list(&ours, part), list(&published, part));
            for (ours, published) in ours.iter().zip(published) {
                assert_eq!(ours, published, "{name}: {part}");
            }
            assert_eq!(ours.len(), published.len(), "{name}: number of {part}");
        }
        assert_eq!(ours, published, "{name}");
    }
}

fn names(set: &FileDescriptorSet) -> Vec<&str> {
    set.file.iter().map(FileDescriptorProto::name).collect()
}

fn list<'a>(interface: &'a Value, part: &str) -> &'a Vec<Value> {
    interface[part]
        .as_array()
        .expect("the interface lists its parts")
}

/// One file in the form of the published data.
fn interface(file: &FileDescriptorProto) -> Value {
    let services: Vec<Value> = file
        .service
        .iter()
        .map(|service| {
            let rpcs: Vec<Value> = service
                .method
                .iter()
                .map(|method| {
                    let mut rpc = Map::new();
                    rpc.insert("name".into(), json!(method.name()));
                    rpc.insert("request".into(), json!(type_name(method.input_type())));
                    rpc.insert("response".into(), json!(type_name(method.output_type())));
                    flag(&mut rpc, "client_streaming", method.client_streaming());
                    flag(&mut rpc, "server_streaming", method.server_streaming());
                    Value::Object(rpc)
                })
                .collect();
            json!({"service": service.name(), "rpcs": rpcs})
        })
        .collect();
    let mut messages = Vec::new();
    for message in &file.message_type {
        push_message(&mut messages, "", message);
    }
    let enums: Vec<Value> = file.enum_type.iter().map(|e| enumeration("", e)).collect();
    json!({"package": file.package(), "services": services, "enums": enums, "messages": messages})
}

/// The message, then everything nested in it, by qualified name.
fn push_message(out: &mut Vec<Value>, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}{}", message.name());
    let fields: Vec<Value> = message
        .field
        .iter()
        .map(|field| self::field(message, field))
        .collect();
    let mut entry = Map::new();
    entry.insert("message".into(), json!(name));
    entry.insert("fields".into(), json!(fields));
    flag(
        &mut entry,
        "map_entry",
        message
            .options
            .as_ref()
            .is_some_and(|options| options.map_entry()),
    );
    let reserved: Vec<Value> = message
        .reserved_range
        .iter()
        // The descriptor's end is exclusive, the data lists inclusive ranges.
        .map(|range| json!([range.start(), range.end() - 1]))
        .chain(message.reserved_name.iter().map(|name| json!(name)))
        .collect();
    if !reserved.is_empty() {
        entry.insert("reserved".into(), json!(reserved));
    }
    out.push(Value::Object(entry));
    let scope = format!("{name}.");
    for nested in &message.nested_type {
        push_message(out, &scope, nested);
    }
    out.extend(message.enum_type.iter().map(|e| enumeration(&scope, e)));
}

fn field(message: &DescriptorProto, field: &FieldDescriptorProto) -> Value {
    let mut entry = Map::new();
    entry.insert("name".into(), json!(field.name()));
    entry.insert("number".into(), json!(field.number()));
    let type_name = match field.r#type() {
        Type::Message | Type::Enum => type_name(field.type_name()).to_owned(),
        scalar => scalar
            .as_str_name()
            .trim_start_matches("TYPE_")
            .to_lowercase(),
    };
    entry.insert("type".into(), json!(type_name));
    assert_ne!(
        field.label(),
        Label::Required,
        "proto3 has no required fields"
    );
    flag(&mut entry, "repeated", field.label() == Label::Repeated);
    flag(&mut entry, "optional", field.proto3_optional());
    // An optional field sits in a oneof of its own, which the data does not list.
    if let (Some(index), false) = (field.oneof_index, field.proto3_optional()) {
        let index = usize::try_from(index).expect("an index is not negative");
        entry.insert("oneof".into(), json!(message.oneof_decl[index].name()));
    }
    flag(
        &mut entry,
        "deprecated",
        field
            .options
            .as_ref()
            .is_some_and(|options| options.deprecated()),
    );
    Value::Object(entry)
}

fn enumeration(scope: &str, e: &EnumDescriptorProto) -> Value {
    let values: Map<String, Value> = e
        .value
        .iter()
        .map(|value| (value.name().to_owned(), json!(value.number())))
        .collect();
    json!({"enum": format!("{scope}{}", e.name()), "values": values})
}

/// `.tfplugin6.Schema` in a descriptor is `tfplugin6.Schema` in the data.
fn type_name(absolute: &str) -> &str {
    absolute.trim_start_matches('.')
}

/// The data only lists what is set.
fn flag(entry: &mut Map<String, Value>, key: &str, set: bool) {
    if set {
        entry.insert(key.to_owned(), json!(true));
    }
}
