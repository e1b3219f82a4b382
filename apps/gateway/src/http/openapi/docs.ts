/** `/docs`: the OpenAPI description, generated from the controllers, and a page that shows it without any network. */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { JSON_TYPE } from '../replies';

/** The page's files, from the package that `@nestjs/swagger` brings along, by their content types. */
const ASSETS: Readonly<Record<string, string>> = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
  'favicon-32x32.png': 'image/png',
};

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Shardline API</title>
    <link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="ui"><p>The description as text: <a href="/docs-json">/docs-json</a></p></div>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script>SwaggerUIBundle({ url: '/docs-json', dom_id: '#ui', deepLinking: true, validatorUrl: null });</script>
  </body>
</html>
`;

/** The OpenAPI description of the routes that the application has. */
export function openApiDocument(app: INestApplication): object {
  const about = new DocumentBuilder()
    .setOpenAPIVersion('3.1.0')
    .setTitle('Shardline')
    .setDescription(
      'Sharded, replicated records. Bodies are JSON whatever the content type, and are read whatever the method; field names are ' +
        'matched without regard to case. Every failure has the same form: `{message: "<Error> …", status: "failure"}`; a path that does not exist ' +
        'answers 404, a method that a path does not take 405.',
    )
    .setVersion('1.0')
    .build();
  return SwaggerModule.createDocument(app, about);
}

/** Serves the description at `/docs-json` and the page at `/docs`. */
export function serveDocs(fastify: FastifyInstance, document: object): void {
  const text = JSON.stringify(document);
  fastify.get('/docs-json', (_request, reply) => {
    reply.header('content-type', JSON_TYPE).send(text);
  });
  fastify.get('/docs', (_request, reply) => {
    reply.header('content-type', 'text/html; charset=utf-8').send(PAGE);
  });
  const folder = assetFolder();
  for (const [name, type] of Object.entries(ASSETS)) {
    const content = folder === null ? null : readFileSync(join(folder, name));
    if (content === null) continue;
    fastify.get(`/docs/${name}`, (_request, reply) => {
      reply.header('content-type', type).header('cache-control', 'max-age=86400').send(content);
    });
  }
}

/** Null where the package is missing: the page then links to the description alone. */
function assetFolder(): string | null {
  try {
    const fromSwagger = createRequire(require.resolve('@nestjs/swagger'));
    const folder = dirname(fromSwagger.resolve('swagger-ui-dist/package.json'));
    return Object.keys(ASSETS).every((name) => existsSync(join(folder, name))) ? folder : null;
  } catch {
    return null;
  }
}
