// The unmodified device SDKs for Node.js (alibabacloud-iot-device-sdk, aliyun-iot-device-sdk), led
// by a test. Orders: {"do": "start", "sdk", "config"}, {"do": "post", "params"},
// {"do": "event", "identifier", "params"}, {"do": "answer", "data"}, {"do": "config"},
// {"do": "tags", "tags"}, {"do": "untag", "names"}, {"do": "shadow"}, {"do": "reported", "state"},
// {"do": "stop"}.
const { orders, tell } = require('./lines');

let device;
let answer = {};
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
        reply(answer);
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
  answer({ data }) {
    answer = data;
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
  stop() {
    device.end();
    tell({ event: 'stopped' });
  },
};

orders().on('line', (line) => {
  const order = JSON.parse(line);
  does[order.do](order);
});
