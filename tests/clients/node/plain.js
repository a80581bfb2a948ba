// npm mqtt on the plain listener, led by a test; orders and events as in ../python/plain_paho.py.
const fs = require('fs');
const mqtt = require('mqtt');
const { orders, tell } = require('./lines');

const NAMES = {
  content_type: 'contentType',
  response_topic: 'responseTopic',
  correlation: 'correlationData',
  expiry: 'messageExpiryInterval',
  format: 'payloadFormatIndicator',
  alias: 'topicAlias',
  delay: 'willDelayInterval',
};

function written(values) {
  const properties = {};
  for (const [name, value] of Object.entries(values || {})) {
    if (name === 'user') {
      properties.userProperties = {};
      for (const [key, text] of value) {
        (properties.userProperties[key] ||= []).push(text);
      }
    } else if (name === 'correlation') properties.correlationData = Buffer.from(value);
    else if (name === 'format') properties.payloadFormatIndicator = value === 1;
    else properties[NAMES[name]] = value;
  }
  return properties;
}

function read(properties = {}) {
  const told = {};
  for (const [name, theirs] of Object.entries(NAMES)) {
    const value = properties[theirs];
    if (value !== undefined) told[name] = Buffer.isBuffer(value) ? value.toString() : value;
  }
  if (told.format !== undefined) told.format = Number(told.format);
  if (properties.userProperties) {
    told.user = Object.entries(properties.userProperties).flatMap(([key, texts]) =>
      [].concat(texts).map((text) => [key, text]));
  }
  if (properties.subscriptionIdentifier !== undefined) {
    told.ids = [].concat(properties.subscriptionIdentifier);
  }
  if (properties.assignedClientIdentifier) told.assigned = properties.assignedClientIdentifier;
  return told;
}

function payload(order) {
  if (order.size === undefined) return order.text ?? '';
  return Buffer.from(Array.from({ length: order.size }, (_, at) => at % 251));
}

let client;
let five;
const does = {
  connect(order) {
    five = order.version === 5;
    const scheme = (order.ws ? 'ws' : 'mqtt') + (order.ca ? 's' : '');
    const options = {
      protocolVersion: order.version,
      protocolId: order.version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: order.client_id,
      clean: order.clean,
      reconnectPeriod: 0,
      rejectUnauthorized: true,
      ...(order.ca && { ca: fs.readFileSync(order.ca), checkServerIdentity: () => undefined }),
    };
    if (five && order.expiry !== undefined) {
      options.properties = { sessionExpiryInterval: order.expiry };
    }
    if (order.will) {
      const { topic, text, qos, retain, properties } = order.will;
      options.will = { topic, payload: Buffer.from(text), qos, retain: !!retain };
      if (five) options.will.properties = written(properties);
    }
    client = mqtt.connect(`${scheme}://${order.host}:${order.port}/mqtt`, options);
    client.on('connect', (packet) => tell({
      event: 'connect',
      session: packet.sessionPresent,
      code: packet.reasonCode ?? packet.returnCode,
      properties: read(packet.properties),
    }));
    client.on('message', (topic, body, packet) => tell({
      event: 'message',
      topic,
      size: body.length,
      sum: body.reduce((sum, byte) => sum + byte, 0),
      text: body.subarray(0, 100).toString(),
      qos: packet.qos,
      retain: packet.retain,
      properties: read(packet.properties),
    }));
    client.on('error', (error) => tell({ event: 'error', code: error.code, message: error.message }));
    client.on('close', () => tell({ event: 'close' }));
  },
  subscribe({ topic, qos, no_local, as_published, handling, id }) {
    const options = { qos };
    if (five) {
      Object.assign(options, { nl: !!no_local, rap: !!as_published, rh: handling ?? 0 });
      if (id !== undefined) options.properties = { subscriptionIdentifier: id };
    }
    client.subscribe(topic, options, (error, granted, packet) =>
      tell({ event: 'subscribed', granted: packet ? packet.granted : (granted || []).map((g) => g.qos) }));
  },
  unsubscribe({ topic }) {
    client.unsubscribe(topic, () => tell({ event: 'unsubscribed' }));
  },
  publish(order) {
    const options = { qos: order.qos, retain: !!order.retain };
    if (five) options.properties = written(order.properties);
    client.publish(order.topic, payload(order), options, (error) =>
      tell({ event: 'published', error: error && error.message }));
  },
  many({ topic, count, qos }) {
    // It does not keep to the server's Receive Maximum by itself, so this does.
    let next = 0;
    const more = () => {
      if (next < count) client.publish(topic, String(next++), { qos }, more);
    };
    for (let at = 0; at < 100; at += 1) more();
  },
  end() {
    client.end(false, {}, () => tell({ event: 'ended' }));
  },
};

orders().on('line', (line) => {
  const order = JSON.parse(line);
  does[order.do](order);
});
