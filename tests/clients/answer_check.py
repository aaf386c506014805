"""Strict checks of raw answers against botocore's service model.

botocore itself ignores members it does not know and forgives missing ones; here both are problems.
"""

import json
import re
import xml.etree.ElementTree as ElementTree

# Errors of the front ends, which no operation models.
COMMON = {
    "AccessDeniedException": 403,
    "AccessDenied": 403,
    "ExpiredToken": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignature": 400,
    "IncompleteSignatureException": 403,
    "InvalidAction": 400,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "MissingAuthenticationToken": 403,
    "MissingAuthenticationTokenException": 403,
    "SerializationException": 400,
    "SignatureDoesNotMatch": 403,
    "Throttling": 400,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "ValidationError": 400,
}

# Where the model is known to be wrong: AWS sends `Policy` as the type of a permissions boundary.
UNTRUE_ENUMERATIONS = {"PermissionsBoundaryAttachmentType"}


class AnswerCheck:
    """Collects what is wrong with the answers of watched clients."""

    def __init__(self):
        self.problems = []
        self.sent = 0
        self.seen = 0

    def watch(self, client):
        service = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"before-send.{service}", self._before_send)
        client.meta.events.register(f"before-parse.{service}", self._before_parse)

    def _before_send(self, **_):
        self.sent += 1

    def _before_parse(self, operation_model, response_dict, **_):
        self.seen += 1
        note = lambda text: self.problems.append(f"{operation_model.service_model.service_name} {operation_model.name}: {text}")
        body, status = response_dict["body"], response_dict["status_code"]
        if not response_dict["headers"].get("x-amzn-requestid"):
            note("no x-amzn-requestid header")
        if operation_model.service_model.metadata["protocol"] == "rest-json":
            _json_answer(operation_model, response_dict, json.loads(body), status, note)
        else:
            _xml_answer(operation_model, ElementTree.fromstring(body), status, note)


def _json_answer(operation, response, body, status, note):
    if status < 300:
        if operation.output_shape is not None:
            _json_value(operation.output_shape, body, "$", note)
        return
    code = response["headers"].get("x-amzn-errortype")
    shape = {shape.name: shape for shape in operation.error_shapes}.get(code)
    if shape is None:
        if COMMON.get(code) != status:
            note(f"unmodelled error {code} with status {status}")
        shape = operation.service_model._shape_resolver._shape_map.get(code) and operation.service_model.shape_for(code)
    if shape is not None:
        expected = shape.metadata.get("error", {}).get("httpStatusCode")
        if expected != status:
            note(f"{code} has status {status}, the model says {expected}")
        _json_value(shape, body, f"$ ({code})", note)


def _json_value(shape, value, path, note):
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        if not isinstance(value, dict):
            return note(f"{path} is no object: {value!r}")
        members = {member.serialization.get("name", name): member for name, member in shape.members.items()}
        for name in set(value) - set(members):
            note(f"{path}.{name} is not in the model")
        for name in shape.required_members:
            if value.get(name) is None:
                note(f"{path}.{name} is required")
        for name, item in value.items():
            if name in members:
                _json_value(members[name], item, f"{path}.{name}", note)
    elif kind == "list":
        if not isinstance(value, list):
            return note(f"{path} is no list")
        for index, item in enumerate(value):
            _json_value(shape.member, item, f"{path}[{index}]", note)
    elif kind == "map":
        if not isinstance(value, dict):
            return note(f"{path} is no map")
        for key, item in value.items():
            _json_value(shape.value, item, f"{path}.{key}", note)
    elif kind == "string":
        if not isinstance(value, str):
            note(f"{path} is no string: {value!r}")
        else:
            _text(shape, value, path, note)
    elif kind == "boolean" and not isinstance(value, bool):
        note(f"{path} is no boolean: {value!r}")
    elif kind in ("integer", "long") and (not isinstance(value, int) or isinstance(value, bool)):
        note(f"{path} is no integer: {value!r}")
    elif kind == "timestamp" and (not isinstance(value, (int, float)) or isinstance(value, bool)):
        note(f"{path} is no epoch timestamp: {value!r}")


def _text(shape, text, path, note):
    least, most = shape.metadata.get("min", 0), shape.metadata.get("max")
    if len(text) < least or (most is not None and len(text) > most):
        note(f"{path} has {len(text)} characters, the model allows {least} to {most}")
    if shape.enum and shape.name not in UNTRUE_ENUMERATIONS and text not in shape.enum:
        note(f"{path} is not in the enumeration: {text!r}")


def _local(element):
    return element.tag.rsplit("}", 1)[-1]


def _xml_answer(operation, root, status, note):
    if status >= 300:
        if _local(root) != "ErrorResponse":
            return note(f"the root of an error is {root.tag}")
        names = {_local(child): child for child in root}
        error = {_local(child): child.text for child in names.get("Error", [])}
        if error.get("Type") not in ("Sender", "Receiver") or not error.get("Code") or "Message" not in error or "RequestId" not in names:
            note(f"incomplete error: {error}")
        modelled = {shape.metadata.get("error", {}).get("code", shape.name): shape for shape in operation.error_shapes}
        code = error.get("Code")
        if code in modelled:
            expected = modelled[code].metadata.get("error", {}).get("httpStatusCode")
            if expected != status:
                note(f"{code} has status {status}, the model says {expected}")
        elif COMMON.get(code) != status:
            note(f"unmodelled error {code} with status {status}")
        return
    namespace = operation.service_model.metadata["xmlNamespace"]
    if root.tag != f"{{{namespace}}}{operation.name}Response":
        note(f"the root is {root.tag}")
    children = {_local(child): child for child in root}
    if "ResponseMetadata" not in children or not children["ResponseMetadata"][0].text:
        note("no request id")
    output = operation.output_shape
    wrapper = output.serialization.get("resultWrapper") if output is not None else None
    expected = {"ResponseMetadata"} | ({wrapper} if wrapper else set())
    if set(children) != expected:
        note(f"the answer has {sorted(children)}, expected {sorted(expected)}")
    if wrapper in children:
        _xml_value(output, children[wrapper], "$", note)


def _xml_value(shape, element, path, note):
    kind = shape.type_name
    if kind == "structure":
        members = {}
        for name, member in shape.members.items():
            wire = member.serialization.get("name", name)
            members[wire] = (name, member)
        present = set()
        for child in element:
            wire = _local(child)
            if wire not in members:
                note(f"{path}.{wire} is not in the model")
                continue
            name, member = members[wire]
            if name in present:
                note(f"{path}.{name} is there twice")
            present.add(name)
            _xml_value(member, child, f"{path}.{name}", note)
        for name in set(shape.required_members) - present:
            note(f"{path}.{name} is required")
    elif kind == "list":
        wire = shape.member.serialization.get("name", "member")
        for index, child in enumerate(element):
            if _local(child) != wire:
                note(f"{path} has an element {_local(child)}, expected {wire}")
            _xml_value(shape.member, child, f"{path}[{index}]", note)
    elif kind == "map":
        for child in element:
            if _local(child) != "entry" or {_local(part) for part in child} != {"key", "value"}:
                note(f"{path} has a malformed entry")
                continue
            _xml_value(shape.value, [part for part in child if _local(part) == "value"][0], path, note)
    else:
        text = element.text or ""
        if len(element):
            note(f"{path} has children")
        elif kind == "boolean" and text not in ("true", "false"):
            note(f"{path} is no boolean: {text!r}")
        elif kind in ("integer", "long") and not re.fullmatch(r"-?\d+", text):
            note(f"{path} is no integer: {text!r}")
        elif kind == "timestamp" and not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text):
            note(f"{path} is no timestamp: {text!r}")
        elif kind == "string":
            _text(shape, text, path, note)
