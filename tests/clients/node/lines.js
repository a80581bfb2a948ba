// Speaks with the test that started this program: one JSON object a line, each way.
const readline = require('readline');

exports.tell = (event) => process.stdout.write(JSON.stringify(event) + '\n');

exports.orders = () => readline.createInterface({ input: process.stdin });
