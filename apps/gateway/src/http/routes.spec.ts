import { RouteTable } from './routes';

const routes = new RouteTable();
routes.register('/read', 'POST');
routes.register('/read', ['GET', 'HEAD']);
routes.register('/operations/:id', 'GET');

test.each(['/yolo', '//yolo', '/yolo/', '/yolo?x=/read', '/yolo#read'])('%s does not exist', (url) => {
  expect(routes.failure('GET', url)).toMatchObject({ status: 404, message: "'/yolo' endpoint does not exist" });
});

test.each(['/read', '//read', '/read/?low=1'])('%s does not take DELETE', (url) => {
  expect(routes.failure('DELETE', url)).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, POST' } });
});

test.each(['/operations/x', '//operations/%2F/'])('%s does not take DELETE', (url) => {
  expect(routes.failure('DELETE', url)).toMatchObject({ status: 405, headers: { allow: 'GET' } });
});

test.each(['/operations', '/operations/', '/operations/x/y', '/'])('%s does not exist', (url) => {
  expect(routes.failure('GET', url)).toMatchObject({ status: 404 });
});

test('a long path does not make a long message', () => {
  expect(routes.failure('GET', `/${'x'.repeat(10_000)}`).message.length).toBeLessThan(300);
});
