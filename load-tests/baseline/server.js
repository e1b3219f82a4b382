/**
 * A bare Fastify server that answers a small POST and does nothing else: the yardstick of the machine. It listens on a free
 * port, says which in one line, and ends with its standard input.
 */
const { fastify } = require('fastify');

async function main() {
  const server = fastify();
  server.post('/write', (request) => ({
    message: `${request.body.data.length} Data entries added`,
    status: 'success',
  }));
  await server.listen({ host: '127.0.0.1', port: Number(process.env.PORT || 0) });
  console.log(JSON.stringify({ port: server.server.address().port }));
  process.stdin.resume().on('end', () => process.exit(0));
}

main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
