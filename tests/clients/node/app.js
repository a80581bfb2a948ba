// The unmodified application SDK @alicloud/pop-core, led by a test: the same lines as app_core.py;
// {"method": "POST"} in an order sends the parameters in the body.
const { RPCClient } = require('@alicloud/pop-core');
const { orders, tell } = require('./lines');

(async () => {
  let client;
  for await (const line of orders()) {
    const order = JSON.parse(line);
    if (!client) {
      client = new RPCClient({
        accessKeyId: order.id,
        accessKeySecret: order.secret,
        endpoint: order.endpoint,
        apiVersion: '2018-01-20',
      });
      continue;
    }
    try {
      const options = { method: order.method || 'GET', formatParams: false };
      tell({ answer: await client.request(order.action, order.params, options) });
    } catch (error) {
      tell({ error: error.code, message: error.message, data: error.data, status: 0 });
    }
  }
})();
