//! A thing model with one of everything, for tests.

use super::Tsl;

/// The model as a TSL document in one line's worth of JSON.
pub(crate) const RICH: &str = r#"{
  "schema": "https://example.org/schema.json",
  "profile": { "productKey": "a1Rich" },
  "properties": [
    { "identifier": "Level", "name": "水位", "desc": "How full", "accessMode": "rw", "required": true,
      "dataType": { "type": "int", "specs": { "min": "0", "max": "100", "step": "1", "unit": "%", "unitName": "百分比" } } },
    { "identifier": "Ratio", "name": "Ratio", "accessMode": "r", "required": false,
      "dataType": { "type": "float", "specs": { "min": "-0.5", "max": "1.5", "step": "0.1" } } },
    { "identifier": "Mass", "name": "Mass", "accessMode": "r", "required": false,
      "dataType": { "type": "double", "specs": { "min": "0", "max": "1000000000", "unit": "kg", "precise": "2", "defaultValue": "1" } } },
    { "identifier": "Mode", "name": "Mode", "accessMode": "rw", "required": false,
      "dataType": { "type": "enum", "specs": { "0": "off", "1": "slow", "12": "fast" } } },
    { "identifier": "Power", "name": "Power", "accessMode": "rw", "required": false,
      "dataType": { "type": "bool", "specs": { "0": "关闭", "1": "打开" } } },
    { "identifier": "Secret", "name": "Secret", "accessMode": "w", "required": false,
      "dataType": { "type": "text", "specs": { "length": "255" } } },
    { "identifier": "When", "name": "When", "accessMode": "r", "required": false,
      "dataType": { "type": "date", "specs": {} } },
    { "identifier": "Sample", "name": "Sample", "accessMode": "r", "required": false,
      "dataType": { "type": "struct", "specs": [
        { "identifier": "value", "name": "Value", "dataType": { "type": "int", "specs": { "min": "0", "max": "9" } } },
        { "identifier": "time", "name": "Time", "dataType": { "type": "date", "specs": {} } },
        { "identifier": "kind", "name": "Kind", "dataType": { "type": "enum", "specs": { "0": "a", "1": "b" } } },
        { "identifier": "on", "name": "On", "dataType": { "type": "bool", "specs": { "0": "n", "1": "y" } } } ] } },
    { "identifier": "Fans", "name": "风扇数组属性", "accessMode": "r", "required": true,
      "dataType": { "type": "array", "specs": { "size": "128", "item": { "type": "int" } } } },
    { "identifier": "Path", "name": "Path", "accessMode": "rw", "required": false,
      "dataType": { "type": "array", "specs": { "size": 4, "item": { "type": "struct", "specs": [
        { "identifier": "x", "name": "x", "dataType": { "type": "double", "specs": { "min": "-180", "max": "180" } } },
        { "identifier": "label", "name": "label", "dataType": { "type": "text", "specs": { "length": "8" } } } ] } } } }
  ],
  "events": [
    { "identifier": "post", "name": "post", "type": "info", "required": true, "method": "thing.event.property.post", "outputData": [] },
    { "identifier": "Alarm", "name": "Alarm", "desc": "风扇警报", "type": "alert", "required": true, "method": "thing.event.Alarm.post",
      "outputData": [ { "identifier": "Code", "name": "错误码", "dataType": { "type": "int", "specs": { "min": "0", "max": "255" } } } ] },
    { "identifier": "Broken", "name": "Broken", "type": "error", "required": false, "outputData": [] }
  ],
  "services": [
    { "identifier": "set", "name": "set", "required": true, "method": "thing.service.property.set", "inputData": [], "outputData": [] },
    { "identifier": "get", "name": "get", "required": true, "method": "thing.service.property.get", "inputData": ["Level"], "outputData": [] },
    { "identifier": "SetWeight", "name": "设置重量", "required": false, "callType": "async", "method": "thing.service.SetWeight",
      "inputData": [ { "identifier": "NewWeight", "name": "NewWeight", "required": true,
        "dataType": { "type": "double", "specs": { "min": "0", "max": "200", "step": "1", "unit": "kg" } } } ],
      "outputData": [
        { "identifier": "OldWeight", "name": "OldWeight", "dataType": { "type": "double", "specs": { "min": "0", "max": "200", "step": "1", "unit": "kg" } } },
        { "identifier": "CollectTime", "name": "CollectTime", "dataType": { "type": "text", "specs": { "length": "2048" } } } ] }
  ],
  "functionBlocks": [
    { "functionBlockId": "room_1", "functionBlockName": "Room one",
      "properties": [ { "identifier": "Heat", "name": "Heat", "accessMode": "rw", "dataType": { "type": "float", "specs": {} } } ],
      "events": [ { "identifier": "Opened", "name": "Opened", "type": "info", "outputData": [] } ],
      "services": [ { "identifier": "Open", "name": "Open", "callType": "sync", "inputData": [], "outputData": [] } ] }
  ]
}"#;

/// The model itself.
pub(crate) fn rich() -> Tsl {
    Tsl::read(RICH).expect("the sample is a good document")
}
