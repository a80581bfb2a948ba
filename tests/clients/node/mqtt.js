// npm mqtt as a plain MQTT client, led by a test: {"do": "connect", "url", "options"},
// {"do": "subscribe", "topic", "qos"}, {"do": "publish", "topic", "payload", "qos"},
// {"do": "unsubscribe", "topic"}, {"do": "end"}.
const fs = require('fs');
const mqtt = require('mqtt');
const { orders, tell } = require('./lines');

let client;
const does = {
  connect({ url, options, ca }) {
    client = mqtt.connect(url, {
      reconnectPeriod: 0,
      ...options,
      ...(ca && { ca: fs.readFileSync(ca) }),
    });
    client.on('connect', (packet) =>
      tell({ event: 'connect', session: packet.sessionPresent, code: packet.reasonCode ?? packet.returnCode }));
    client.on('message', (topic, payload, packet) =>
      tell({ event: 'message', topic, payload: payload.toString(), qos: packet.qos }));
    client.on('error', (error) => tell({ event: 'error', code: error.code, message: error.message }));
    client.on('disconnect', (packet) => tell({ event: 'disconnect', code: packet.reasonCode }));
    client.on('close', () => tell({ event: 'close' }));
  },
  subscribe({ topic, qos }) {
    client.subscribe(topic, { qos: qos ?? 1 }, (error, granted) =>
      tell({ event: 'subscribed', granted: (granted || []).map((g) => g.qos), error: error && error.message }));
  },
  unsubscribe({ topic }) {
    client.unsubscribe(topic, (error) => tell({ event: 'unsubscribed', error: error && error.message }));
  },
  publish({ topic, payload, qos }) {
    client.publish(topic, payload, { qos: qos ?? 1 }, (error) =>
      tell({ event: 'published', error: error && error.message }));
  },
  end() {
    client.end(false, {}, () => tell({ event: 'ended' }));
  },
};

orders().on('line', (line) => {
  const order = JSON.parse(line);
  does[order.do](order);
});
