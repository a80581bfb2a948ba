// The unmodified device SDKs for Node.js (alibabacloud-iot-device-sdk, aliyun-iot-device-sdk), led
// by a test. Orders: {"do": "start", "sdk", "config"}, {"do": "post", "params"},
// {"do": "event", "identifier", "params"}, {"do": "answer", "data", "kind"}, {"do": "config"},
// {"do": "tags", "tags"}, {"do": "untag", "names"}, {"do": "shadow"}, {"do": "reported", "state"},
// {"do": "stop"}.
const { orders, tell } = require('./lines');

let device;
let answer = {};
// 'sync' for services that are called synchronously; the SDK leaves that to its program.
let way = 'async';
const does = {
  start({ sdk, config, services }) {
    device = require(sdk || 'alibabacloud-iot-device-sdk').device(config);
    device.on('connect', () => tell({ event: 'connect' }));
    device.on('error', (error) => tell({ event: 'error', message: String(error) }));
    device.on('close', () => tell({ event: 'close' }));
    if (device.onProps) device.onProps((message) => tell({ event: 'prop_changed', message }));
    if (device.onConfig) device.onConfig((message) => tell({ event: 'config_pushed', message }));
    if (device.onShadow) device.onShadow((message) => tell({ event: 'shadow', message }));
    for (const name of services || []) {
      device.onService(name, (message, reply) => {
        tell({ event: 'service', identifier: name, message });
        reply({ ...answer }, way);
      });
    }
  },
  register({ config, sdk }) {
    require(sdk || 'alibabacloud-iot-device-sdk').register(config, (reply) =>
      tell({ event: 'registered', reply }));
  },
  post({ params }) {
    device.postProps(params, (reply) => tell({ event: 'prop_post', reply }));
  },
  event({ identifier, params }) {
    device.postEvent(identifier, params, (reply) => tell({ event: 'event_post', reply }));
  },
  answer({ data, kind }) {
    answer = data;
    way = kind || 'async';
    tell({ event: 'answering' });
  },
  config() {
    device.getConfig((reply) => tell({ event: 'config', reply }));
  },
  tags({ tags }) {
    device.postTags(tags, (reply) => tell({ event: 'tagged', reply }));
  },
  untag({ names }) {
    device.deleteTags(names, (reply) => tell({ event: 'untagged', reply }));
  },
  shadow() {
    device.getShadow();
    tell({ event: 'asking' });
  },
  reported({ state }) {
    device.postShadow(state);
    tell({ event: 'asking' });
  },
  subscribe({ topic }) {
    device.on('message', (on, payload) =>
      tell({ event: 'message', topic: on, payload: payload.toString() }));
    device.subscribe(topic, (error) => tell({ event: 'subscribed', error: error && String(error) }));
  },
  publish({ topic, payload }) {
    device.publish(topic, payload, { qos: 1 }, () => tell({ event: 'published' }));
  },
  // What a device does with a link: the first half, and then the rest of it.
  fetch({ url }) {
    const https = require('https');
    const hash = require('crypto').createHash('md5');
    const part = (range, then) => https.get(url, { headers: { Range: range } }, (reply) => {
      reply.on('data', (data) => hash.update(data));
      reply.on('end', () => then(reply.statusCode));
    }).on('error', (error) => tell({ event: 'fetched', error: String(error) }));
    part('bytes=0-99999', (first) => part('bytes=100000-', (second) =>
      tell({ event: 'fetched', status: [first, second], md5: hash.digest('hex') })));
  },
  stop() {
    device.end();
    tell({ event: 'stopped' });
  },
};

orders().on('line', (line) => {
  const order = JSON.parse(line);
  does[order.do](order);
});
