// A gateway on the unmodified device SDKs for Node.js (alibabacloud-iot-device-sdk,
// aliyun-iot-device-sdk), led by a test. Orders: {"do": "start", "sdk", "config"},
// {"do": "register", "subs"}, {"do": "add", "subs"}, {"do": "topo"}, {"do": "remove", "subs"},
// {"do": "login", "sub"}, {"do": "listen", "topic"}, {"do": "post", "name", "params"},
// {"do": "logout", "sub"}.
const { orders, tell } = require('./lines');

let gateway;
const subs = {};
const told = (event) => (reply) => tell({ event, reply });
const does = {
  start({ sdk, config }) {
    gateway = require(sdk || 'alibabacloud-iot-device-sdk').gateway(config);
    gateway.on('connect', () => tell({ event: 'connect' }));
    gateway.on('error', (error) => tell({ event: 'error', message: String(error) }));
    gateway.on('message', (topic, payload) =>
      tell({ event: 'message', topic, payload: payload.toString() }));
  },
  register({ subs: names }) {
    gateway.regiestSubDevice(names, told('register'));
  },
  add({ subs: devices }) {
    gateway.addTopo(devices, told('add'));
  },
  topo() {
    gateway.getTopo(told('topo'));
  },
  remove({ subs: names }) {
    gateway.removeTopo(names, told('remove'));
  },
  login({ sub }) {
    const name = sub.deviceName;
    const device = gateway.login(sub, (reply) => tell({ event: 'login', name, reply }));
    subs[name] = device;
    device.on('connect', () => tell({ event: 'sub_connect', name }));
    device.on('error', (error) => tell({ event: 'sub_error', name, message: String(error) }));
    if (device.onProps) {
      device.onProps((message) => tell({ event: 'prop_changed', name, message }));
    }
  },
  listen({ topic }) {
    gateway.subscribe(topic, (error) => tell({ event: 'listening', error: error && String(error) }));
  },
  post({ name, params }) {
    subs[name].postProps(params, (reply) => tell({ event: 'prop_post', name, reply }));
  },
  logout({ sub }) {
    gateway.logout(sub, told('logout'));
  },
};

orders().on('line', (line) => {
  const order = JSON.parse(line);
  does[order.do](order);
});
