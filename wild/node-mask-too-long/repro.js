const { mask } = require("bufferutil");

const source = Buffer.alloc(16);
const output = Buffer.alloc(16);
mask(source, Buffer.from([1, 2, 3, 4]), output, 0, 1 << 30);
console.log("masked");
