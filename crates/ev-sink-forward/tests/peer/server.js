// An independent receiver of the Forward protocol: the server that the package `@fluent-org/logger`
// brings along. The settings come as JSON in the first argument; each event goes to stdout as one
// line of JSON. The line `cut` on stdin breaks all connections, the end of stdin ends the process.
const path = require("path");
const readline = require("readline");

const settings = JSON.parse(process.argv[2]);
const { FluentServer } = require(path.join(settings.package, "node_modules/@fluent-org/logger"));

const server = new FluentServer({
  security: settings.security,
  tlsOptions: settings.tls && {
    ...settings.tls,
    requestCert: true,
    rejectUnauthorized: true,
  },
  listenOptions: { port: 0, host: "127.0.0.1" },
});

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

server.on("entry", (tag, time, record) => {
  say({ tag, seconds: time.epoch, nanos: time.nano, record });
});

const sockets = new Set();
server.server.on("connection", (socket) => {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
});

const lines = readline.createInterface({ input: process.stdin });
lines.on("line", (line) => {
  if (line === "cut") {
    const count = sockets.size;
    sockets.forEach((socket) => socket.destroy());
    say({ cut: count });
  }
});
lines.on("close", () => process.exit(0));

server.listen().then(() => say({ port: server.port }));
